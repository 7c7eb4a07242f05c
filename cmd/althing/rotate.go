package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/internal/home"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
)

func newNodeRotateKeyCommand(s *streams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "rotate-key [NAME]",
		Short: "Give a node another key for its connections",
		Long: `Give a node another key for its connections. The key is made in the node's home, beside the present one; both are
admitted by the other nodes for as long as the charter says, and the running node changes to the new one by itself. The node
must be one of the organisation of the one that acts, which needs the role admin.

Run it on the machine that the node runs on: the home is the one that the network file names, or --home.`,
		Example: `  althing node rotate-key acme-1 --as acme/admin
  althing node rotate-key --home /var/lib/althing --as acme/admin`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&dir, "home", "", "`DIR`ectory of the node (default: what the network file says)")
	return s.rotation(cmd, &dir, votes, func(_ context.Context, _ *link, h *home.Home) (rotated, error) {
		key, err := h.PrepareNodeKey()
		next := ""
		if err == nil && h.Config.Signer.Remote() {
			next = fmt.Sprintf("althing signer allow %x", key.PublicKey)
			s.note(globalsOf(cmd), "The signer of %s knows the node by its key: run `%s` beside the signer before the node starts again.",
				h.Config.Name, next)
		}
		op := &membershipv1.RotateNodeKey{Name: h.Config.Name, NodeKey: key.PublicKey, NodeKeyProof: key.Proof}
		return rotated{key, &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeRotateKey{NodeRotateKey: op}}, next}, err
	})
}

func newValidatorRotateKeyCommand(s *streams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "rotate-key [NAME]",
		Short: "Give a validator another key for its votes",
		Long: `Give a validator another key for its votes. The key is made in the node's home, or by its signer; the ledger says from
which block on it counts, and the running node changes to it by itself at that block and destroys the old one. The validator
must be one of the organisation of the one that acts, which needs the role admin; without NAME it is its only one.

Run it on the machine that the node runs on: the home is the one that the network file names, or --home.`,
		Example: `  althing validator rotate-key --as acme/admin
  althing validator rotate-key acme-1 --home /var/lib/althing --as acme/admin`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&dir, "home", "", "`DIR`ectory of the node (default: what the network file says)")
	return s.rotation(cmd, &dir, votes, func(ctx context.Context, _ *link, h *home.Home) (rotated, error) {
		key, err := h.PrepareValidatorKey(ctx)
		op := &membershipv1.RotateValidatorKey{Name: h.Config.Name, ValidatorKey: key.PublicKey, ValidatorKeyProof: key.Proof}
		return rotated{key, &ledgerv1.Operation{Kind: &ledgerv1.Operation_ValidatorRotateKey{ValidatorRotateKey: op}}, ""}, err
	})
}

func newValidatorNewKeyCommand(s *streams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "new-key [NAME]",
		Short: "Give an observer a key for its votes",
		Long: `Give an observer a key for its votes: any node that the ledger lists without one. The key is made in the node's home, with a
record of what it signs, or is the one of its signer, and the ledger lists it. It has no vote yet: start the node again, so that it finds the
key, and then give it power with ` + "`althing validator set-power`" + `, or by a vote of the members. The node must be one of the
organisation of the one that acts, which needs the role admin; without NAME it is its only observer.

Run it on the machine that the node runs on: the home is the one that the network file names, or --home.`,
		Example: `  althing validator new-key acme-2 --as acme/admin
  althing validator new-key --home /var/lib/althing --as acme/admin`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&dir, "home", "", "`DIR`ectory of the node (default: what the network file says)")
	observes := role{kindObserver, func(n *membershipv1.Node) bool { return len(n.ValidatorKey) == 0 }}
	return s.rotation(cmd, &dir, observes, func(ctx context.Context, l *link, h *home.Home) (rotated, error) {
		if err := requireObserver(ctx, l, h.Config.Name); err != nil {
			return rotated{}, err
		}
		key, err := h.BeginValidatorKey(ctx)
		if err != nil {
			return rotated{}, err
		}
		next := fmt.Sprintf("althing validator set-power %s %d --as %s/admin", h.Config.Name, defaultPower, h.Config.Org)
		s.note(globalsOf(cmd), "Once the ledger lists the key, start %s again, so that it finds it; then `%s` gives it a vote.", h.Config.Name, next)
		op := &membershipv1.RotateValidatorKey{Name: h.Config.Name, ValidatorKey: key.PublicKey, ValidatorKeyProof: key.Proof}
		return rotated{key, &ledgerv1.Operation{Kind: &ledgerv1.Operation_ValidatorRotateKey{ValidatorRotateKey: op}}, next}, nil
	})
}

// requireObserver refuses a node that the ledger lists with a validator key, before anything is made for it.
func requireObserver(ctx context.Context, l *link, name string) error {
	resp, err := l.Membership().GetNode(ctx, &membershipv1.GetNodeRequest{Name: name})
	if err != nil {
		return err
	}
	if len(resp.GetNode().GetValidatorKey()) == 0 {
		return nil
	}
	return hint(usagef("%s has a validator key: %x", name, resp.Node.ValidatorKey),
		"`althing validator rotate-key %s` gives it another one, `althing validator set-power %s POWER` a vote", name, name)
}

// rotated is a key that was made, what has the ledger list it, and the command that its owner has to run besides, if any.
type rotated struct {
	key      home.NewKey
	op       *ledgerv1.Operation
	nextStep string
}

// rotation completes a command that makes a key in the home of a node and has the ledger list it. A key that was made
// before and is not listed yet is used again.
func (s *streams) rotation(cmd *cobra.Command, dir *string, of role,
	prepare func(context.Context, *link, *home.Home) (rotated, error),
) *cobra.Command {
	var w *writing
	cmd, w = s.writerOf(cmd, func(ctx context.Context, l *link, args []string) ([]*ledgerv1.Operation, error) {
		org, err := names.Account(w.as[0])
		if err != nil {
			return nil, err
		}
		h, err := homeToRotate(ctx, l, args, *dir, org, of)
		if err != nil {
			return nil, err
		}
		r, err := prepare(ctx, l, h)
		if err != nil {
			return nil, startError(err)
		}
		l.shape = aboutChange(r.key.PublicKey, r.nextStep)
		return []*ledgerv1.Operation{r.op}, nil
	})
	return cmd
}

// homeToRotate returns the home of the node that is meant.
func homeToRotate(ctx context.Context, l *link, args []string, dir, org string, of role) (*home.Home, error) {
	name := ""
	var err error
	switch {
	case len(args) == 1:
		name = args[0]
		err = names.Node(name)
	case dir == "":
		name, err = onlyNode(ctx, l, org, of)
	}
	if err != nil {
		return nil, err
	}
	if dir == "" {
		if dir, err = homeOf(l.Network(), name); err != nil {
			return nil, err
		}
	}
	h, err := home.Load(dir)
	if err != nil {
		return nil, startError(err)
	}
	if name != "" && name != h.Config.Name {
		return nil, usagef("%s is the home of %s, not of %s", dir, h.Config.Name, name)
	}
	return h, nil
}

// role is which nodes a command is for.
type role struct {
	noun string
	is   func(*membershipv1.Node) bool
}

// votes is the role of validators.
var votes = role{kindValidator, func(n *membershipv1.Node) bool { return n.Power > 0 }}

// onlyNode returns the node of an organisation that has one of this role.
func onlyNode(ctx context.Context, l *link, org string, of role) (string, error) {
	found, err := collect(paging{}, func(at uint64, page string, size uint32) (uint64, []*membershipv1.Node, string, error) {
		resp, err := l.Membership().ListNodes(ctx, &membershipv1.ListNodesRequest{Height: at, Page: page, PageSize: size})
		return resp.GetHeight(), resp.GetNodes(), resp.GetNextPage(), err
	})
	if err != nil {
		return "", err
	}
	var own []string
	for _, n := range found.items {
		if n.Org == org && of.is(n) {
			own = append(own, n.Name)
		}
	}
	if len(own) != 1 {
		return "", hint(usagef("which node? %s has %s: %s", org, plural(len(own), of.noun), listWords(own)),
			"name it: NAME --as %s/admin", org)
	}
	return own[0], nil
}
