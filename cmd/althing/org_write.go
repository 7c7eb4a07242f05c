package main

import (
	"fmt"

	"github.com/spf13/cobra"

	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

func orgSuspend(org, reason string) (*ledgerv1.Operation, error) {
	if err := checkOrgAndReason(org, reason); err != nil {
		return nil, err
	}
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgSuspend{OrgSuspend: &accountsv1.SuspendOrg{Name: org, Reason: reason}}}, nil
}

func orgResume(org, reason string) (*ledgerv1.Operation, error) {
	if err := checkOrgAndReason(org, reason); err != nil {
		return nil, err
	}
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgResume{OrgResume: &accountsv1.ResumeOrg{Name: org, Reason: reason}}}, nil
}

func orgRemove(org, reason string, spread bool) (*ledgerv1.Operation, error) {
	if err := checkOrgAndReason(org, reason); err != nil {
		return nil, err
	}
	op := &accountsv1.RemoveOrg{Name: org, Reason: reason, Spread: spread}
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgRemove{OrgRemove: op}}, nil
}

func checkOrgAndReason(org, reason string) error {
	if len(reason) > maxTitle {
		return usagef("--reason has %s, at most %d are allowed", plural(len(reason), "byte"), maxTitle)
	}
	return names.Org(org)
}

// byVote says in the help of a command that it makes a proposal.
const byVote = `

This makes a proposal, for which the proposer's organisation has voted; the others vote with
` + "`althing proposal vote ID --yes`" + `. The JSON is that of ` + "`althing proposal create`" + `.`

func newOrgSuspendCommand(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suspend ORG",
		Short: "Propose to take all rights from an organisation for a while",
		Long: `Propose to take from an organisation, until it is resumed, every right: its accounts do not act, its nodes are
cut off, its validators do not vote, and neither does it.` + byVote,
		Example: `  althing org suspend globex --reason "key lost" --as acme/admin`,
		Args:    cobra.ExactArgs(1),
	}
	return s.proposing(cmd, func(args []string, reason string) (*ledgerv1.Operation, error) { return orgSuspend(args[0], reason) })
}

func newOrgResumeCommand(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "resume ORG",
		Short:   "Propose to end a suspension",
		Long:    `Propose to give a suspended organisation all its rights back.` + byVote,
		Example: "  althing org resume globex --as acme/admin",
		Args:    cobra.ExactArgs(1),
	}
	return s.proposing(cmd, func(args []string, reason string) (*ledgerv1.Operation, error) { return orgResume(args[0], reason) })
}

func newOrgRemoveCommand(s *streams) *cobra.Command {
	var spread bool
	cmd := &cobra.Command{
		Use:     "remove ORG",
		Short:   "Propose to end a membership for good",
		Long:    `Propose to end the membership of an organisation. Its name is never given again.` + byVote,
		Example: "  althing org remove globex --spread --as acme/admin",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&spread, "spread", false, "let a removal that takes too much power at once take effect over several blocks")
	return s.proposing(cmd, func(args []string, reason string) (*ledgerv1.Operation, error) {
		return orgRemove(args[0], reason, spread)
	})
}

func newOrgSetAllotmentCommand(s *streams) *cobra.Command {
	var power uint64
	var nodes uint32
	cmd := &cobra.Command{
		Use:   "set-allotment ORG",
		Short: "Propose what an organisation may decide for itself",
		Long: `Propose how many nodes an organisation may list without a vote, and how much voting power its validators may
have together.` + byVote,
		Example: "  althing org set-allotment globex --power 20 --nodes 6 --as acme/admin",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().Uint64Var(&power, "power", 0, "voting `POWER` of all its validators together")
	cmd.Flags().Uint32Var(&nodes, "nodes", 0, "how `MANY` nodes it may list")
	require(cmd, "power", "nodes")
	return s.proposing(cmd, func(args []string, reason string) (*ledgerv1.Operation, error) {
		if reason != "" {
			return nil, usagef("--reason is not kept with an allotment: say it in --title")
		}
		if err := names.Org(args[0]); err != nil {
			return nil, err
		}
		op := &accountsv1.SetAllotment{Name: args[0], Allotment: &accountsv1.Allotment{Power: power, Nodes: nodes}}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgSetAllotment{OrgSetAllotment: op}}, nil
	})
}

// orgText writes what `org show` says of an organisation.
func orgText(o *accountsv1.Org) string {
	return fmt.Sprintf("org\t%s\nstatus\t%s%s, since height %d\nadmins\t%d\nallotment\t%s\nmember since\theight %d\n",
		o.GetName(), orgStatus(o), because(o.GetStatusReason()), o.GetStatusHeight(), o.GetAdmins(), allotmentWords(o.GetAllotment()), o.GetJoinedHeight())
}
