package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// maxTitle is the length in bytes of the longest title and the longest reason.
const maxTitle = 256

func newProposalCommand(s *streams) *cobra.Command {
	return noun("proposal", "Changes that the members decide by vote",
		newProposalCreateCommand(s), newProposalVoteCommand(s), newProposalWithdrawCommand(s),
		newProposalShowCommand(s), newProposalListCommand(s))
}

// proposalOutcome is what commands print that make a proposal, vote on it or withdraw it: the outcome of the transaction,
// under the number of the proposal.
type proposalOutcome struct {
	// ID is 0 where there is no proposal yet.
	ID   uint64 `json:"id"`
	TxID string `json:"tx_id"`
	// Proposal is its status as far as the transaction tells; empty where it does not.
	Proposal string `json:"proposal_status"`
	outcome
}

// aboutProposal shapes the outcome of a transaction about a proposal; id is 0 for one that it makes.
func aboutProposal(id uint64) func(outcome, []*ledgerv1.Event) any {
	return func(o outcome, events []*ledgerv1.Event) any {
		p := proposalOutcome{ID: id, TxID: o.ID, outcome: o}
		for _, e := range events {
			switch k := e.Kind.(type) {
			case *ledgerv1.Event_Proposed:
				p.ID, p.Proposal = k.Proposed.Proposal, proposalStatus(governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN)
			case *ledgerv1.Event_Voted:
				p.Proposal = proposalStatus(governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN)
			case *ledgerv1.Event_ProposalClosed:
				p.Proposal = proposalStatus(k.ProposalClosed.Status)
			}
		}
		return p
	}
}

// proposalStatus is the name of a status: `open`.
func proposalStatus(status governancev1.ProposalStatus) string {
	text, _ := enumText(status.Descriptor(), status.Number()).(string)
	return text
}

const proposalCreateHelp = `Put changes to the vote of the members. The proposer's organisation has voted yes with it; where that is
enough, the changes are made at once. Several flags make one proposal of several changes, in the order in
which they stand, all of which are made or none.

--admit-org without --member makes a key for ORG/admin in the network's directory of keys, and admits the
organisation with that account. With --member FILE, which ` + "`althing network init`" + ` wrote, it takes accounts
and nodes from there: the organisation is admitted and its nodes are listed.

--set-charter changes a limit of the charter: ` + "`althing charter show`" + ` lists their names. Beside numbers there
are read_access=open|members, read_roles=ROLE,… (none with -), and rules.ACTION=N/D[:ORG,…]: more than N/D
of the active organisations must agree, and only those named may propose. The actions: admit_org,
suspend_org, remove_org, nodes, accounts, charter, upgrade, and default for all others.

--file takes what ` + "`althing tx build`" + ` takes, without accounts: {"title": "…", "operations": […]}. The kinds:

  nodeAdd nodeRemove nodeSetAddresses nodeSetPower nodeRotateKey validatorRotateKey
  orgAdmit orgSuspend orgResume orgRemove orgSetAllotment
  accountCreate accountSetRoles accountAddKey accountRevokeKey accountRotateKey
  charterSet upgradeSchedule`

func newProposalCreateCommand(s *streams) *cobra.Command {
	draft := new(proposalDraft)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Put changes to the vote of the members",
		Long:  proposalCreateHelp,
		Example: `  althing proposal create --admit-org hooli --as acme/admin
  althing proposal create --admit-org hooli --member hooli-1.member.json --as acme/admin
  althing proposal create --suspend-org globex --reason "key lost" --as acme/admin
  althing proposal create --remove-node globex-1 --set-power acme-1=20 --spread --as acme/admin
  althing proposal create --set-charter block_interval_ms=500 --set-charter read_access=members --as acme/admin
  althing proposal create --file P.json --as acme/admin --output json`,
		Args: cobra.NoArgs,
	}
	draft.flags(cmd)
	return s.writer(cmd, func(_ context.Context, l *link, _ []string) (*ledgerv1.Operation, error) {
		l.shape = aboutProposal(0)
		propose, err := draft.propose(s, l)
		if err != nil {
			return nil, err
		}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_ProposalCreate{ProposalCreate: propose}}, nil
	})
}

// proposing completes a command that makes a proposal of one operation, with --reason and --title.
func (s *streams) proposing(cmd *cobra.Command, fill func(args []string, reason string) (*ledgerv1.Operation, error)) *cobra.Command {
	var title, reason string
	cmd.Flags().StringVar(&title, "title", "", "what the proposal is called, for people (default: what it does)")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people; it stays on the ledger")
	return s.writer(cmd, func(_ context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		l.shape = aboutProposal(0)
		op, err := fill(args, reason)
		if err != nil {
			return nil, err
		}
		propose, err := proposalOf(title, []*ledgerv1.Operation{op})
		if err != nil {
			return nil, err
		}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_ProposalCreate{ProposalCreate: propose}}, nil
	})
}

// proposalOf makes a proposal, with a title that says what it does if it has none.
func proposalOf(title string, ops []*ledgerv1.Operation) (*ledgerv1.Propose, error) {
	if title == "" {
		var all []string
		for _, op := range ops {
			all = append(all, deed(op))
		}
		title = shortened(strings.Join(all, ", "), maxTitle)
	}
	if len(title) > maxTitle {
		return nil, usagef("--title has %s, at most %d are allowed", plural(len(title), "byte"), maxTitle)
	}
	return &ledgerv1.Propose{Title: title, Operations: ops}, nil
}

// shortened cuts a text to a number of bytes, at the end of a character.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const dots = "…"
	cut := text[:most-len(dots)]
	return strings.ToValidUTF8(cut, "") + dots
}

func newProposalVoteCommand(s *streams) *cobra.Command {
	var yes, no bool
	cmd := &cobra.Command{
		Use:   "vote ID --yes|--no",
		Short: "Vote on a proposal for one's organisation",
		Long: `Vote on a proposal for the organisation of the one that acts, which needs the role admin or voter. The
vote can be changed while the proposal is open. The vote that decides makes the changes: in the JSON,
"proposal_status" is then executed, or failed where they were refused.`,
		Example: `  althing proposal vote 7 --yes --as globex/admin
  althing proposal vote 7 --no --as globex/admin`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "vote for it")
	cmd.Flags().BoolVar(&no, "no", false, "vote against it")
	return s.writer(cmd, func(_ context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		id, err := parseProposal(args[0])
		if err != nil {
			return nil, err
		}
		if yes == no {
			return nil, hint(usagef("for or against? say --yes or --no"), "`althing proposal show %d` shows what it would change", id)
		}
		l.shape = aboutProposal(id)
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_ProposalVote{ProposalVote: &governancev1.Vote{Proposal: id, Yes: yes}}}, nil
	})
}

func newProposalWithdrawCommand(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "withdraw ID",
		Short:   "End a proposal of one's organisation",
		Example: "  althing proposal withdraw 7 --as acme/admin",
		Args:    cobra.ExactArgs(1),
	}
	return s.writer(cmd, func(_ context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		id, err := parseProposal(args[0])
		if err != nil {
			return nil, err
		}
		l.shape = aboutProposal(id)
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_ProposalWithdraw{ProposalWithdraw: &governancev1.Withdraw{Proposal: id}}}, nil
	})
}

func parseProposal(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil || id == 0 {
		return 0, hint(usagef("%.40q is no proposal: write its number", text), "`althing proposal list` shows the proposals")
	}
	return id, nil
}
