package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

func newValidatorCommand(s *streams) *cobra.Command {
	return noun("validator", "Nodes that vote",
		newValidatorListCommand(s), newValidatorSetPowerCommand(s), newValidatorNewKeyCommand(s), newValidatorRotateKeyCommand(s))
}

// validatorView is a validator as it is printed.
type validatorView struct {
	Name      string `json:"name"`
	Org       string `json:"org"`
	PublicKey string `json:"public_key"`
	Power     uint64 `json:"power"`
	// NextPower is what is decided for the block after the next one.
	NextPower uint64 `json:"next_power"`
	// FromHeight is since when it votes with this key.
	FromHeight uint64 `json:"from_height"`
	// Of the window: how many blocks it was asked to sign, and how many it signed.
	Signed           uint32 `json:"signed"`
	Asked            uint32 `json:"asked"`
	Window           uint32 `json:"window"`
	LastSignedHeight uint64 `json:"last_signed_height"`
}

// validatorsView is what `validator list` prints.
type validatorsView struct {
	Height     uint64          `json:"height"`
	Window     uint32          `json:"window"`
	TotalPower uint64          `json:"total_power"`
	Validators []validatorView `json:"validators"`
}

func newValidatorListCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List who votes on the next block, with their signing record",
		Long: `List who votes on the next block. The signing record is what the node that is asked has seen: of the newest
blocks, how many each validator was asked to sign, and how many it signed.`,
		Example: `  althing validator list
  althing validator list --output json`,
		Args: cobra.NoArgs,
		RunE: s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
			resp, err := l.Membership().ListValidators(ctx, &membershipv1.ListValidatorsRequest{Height: height})
			if err != nil {
				return err
			}
			view := validatorsView{Height: resp.Height, Window: resp.Window, Validators: []validatorView{}}
			for _, v := range resp.Validators {
				view.TotalPower += v.Power
				view.Validators = append(view.Validators, validatorView{
					v.Name, v.Org, hex.EncodeToString(v.PublicKey), v.Power, v.NextPower, v.FromHeight, v.Signed, v.Asked, resp.Window, v.LastSignedHeight,
				})
			}
			return s.show(g, view, view.text)
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}

func (view validatorsView) text(out io.Writer) {
	fmt.Fprintln(out, "VALIDATOR\tORG\tPOWER\tSIGNED\tLAST SIGNED\tKEY SINCE\tPUBLIC KEY")
	for _, v := range view.Validators {
		power := fmt.Sprint(v.Power)
		if v.NextPower != v.Power {
			power += fmt.Sprintf(", next %d", v.NextPower)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%d of %d\t%d\t%d\t%s\n", v.Name, v.Org, power, v.Signed, v.Asked, v.LastSignedHeight, v.FromHeight, v.PublicKey)
	}
}

func newValidatorSetPowerCommand(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set-power NAME POWER",
		Short: "Change what the vote of a validator counts",
		Long: `Change what the vote of a validator counts, from the block after the next one on; 0 makes it an observer that
keeps its key. A node without one gets it with ` + "`althing validator new-key`" + `. An admin of its organisation may do so within the organisation's allotment. More than that the members decide:
` + "`althing proposal create --set-power NAME=POWER`" + `.`,
		Example: "  althing validator set-power acme-1 5 --as acme/admin",
		Args:    cobra.ExactArgs(2),
	}
	return s.writer(cmd, func(_ context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		power, err := strconv.ParseUint(args[1], 10, 63)
		if err != nil {
			return nil, usagef("%.40q is no power: write a number from 0 up", args[1])
		}
		l.shape = aboutChange(nil, "")
		l.ballot = fmt.Sprintf("`althing proposal create --set-power %s=%d --as ORG/admin`", args[0], power)
		return nodePower(args[0], power)
	})
}

// changeOutcome is what commands print that change a node: the outcome of the transaction, and from which block on it acts.
type changeOutcome struct {
	outcome
	Node string `json:"node"`
	// EffectiveHeight is the first height whose block the change shapes; 0 where it is not committed.
	EffectiveHeight uint64 `json:"effective_height"`
	// PublicKey is the key that a rotation brings, hex.
	PublicKey string `json:"public_key,omitempty"`
	// NextStep is a command that has to be run besides.
	NextStep string `json:"next_step,omitempty"`
}

// aboutChange shapes the outcome of a change of a node, with the key that it brings and the command that has to be run
// besides, if any.
func aboutChange(key []byte, nextStep string) func(outcome, []*ledgerv1.Event) any {
	return func(o outcome, events []*ledgerv1.Event) any {
		c := changeOutcome{outcome: o, PublicKey: hex.EncodeToString(key), NextStep: nextStep}
		for _, e := range events {
			if changed := e.GetNodeChanged(); changed != nil {
				c.Node, c.EffectiveHeight = changed.GetNode().GetName(), changed.EffectiveHeight
			}
		}
		return c
	}
}
