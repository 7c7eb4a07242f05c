package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// proposalView is a proposal as `proposal show` prints it.
type proposalView struct {
	Height        uint64       `json:"height"`
	ID            uint64       `json:"id"`
	Title         string       `json:"title"`
	Org           string       `json:"org"`
	Account       string       `json:"account"`
	Status        string       `json:"status"`
	Deadline      string       `json:"deadline"`
	CreatedHeight uint64       `json:"created_height"`
	ClosedHeight  uint64       `json:"closed_height"`
	Tally         tallyView    `json:"tally"`
	Ballots       []ballotView `json:"ballots"`
	Operations    []object     `json:"operations"`
	// Changes is what an open proposal would change now; Diff says the same in lines.
	Changes []changeView `json:"changes"`
	Diff    []string     `json:"diff"`
	// Refusal is why an open proposal would be refused if it passed now, or why it failed; absent where neither is so.
	Refusal *refusalView `json:"refusal,omitempty"`
}

type tallyView struct {
	Yes    uint32 `json:"yes"`
	No     uint32 `json:"no"`
	Orgs   uint32 `json:"orgs"`
	Needed uint32 `json:"needed"`
	// Rule is the share of the active organisations that it takes more than: `2/3`.
	Rule string `json:"rule"`
}

type ballotView struct {
	Org     string `json:"org"`
	Vote    string `json:"vote"`
	Account string `json:"account"`
	Height  uint64 `json:"height"`
}

type changeView struct {
	Operation uint32 `json:"operation"`
	Subject   string `json:"subject"`
	Property  string `json:"property"`
	Before    string `json:"before"`
	After     string `json:"after"`
}

type refusalView struct {
	Code    uint32 `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Operation is which one was refused; -1 where that is not known.
	Operation int32 `json:"operation"`
}

func newProposalShowCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a proposal, its votes, and what it would change now",
		Long: `Show a proposal, its votes and, while it is open, what it would change in the present state, and why it
would be refused if it passed now. The status is open, executed, failed, expired or withdrawn; it is
expired too when the deadline has passed by the clock of the node that is asked.`,
		Example: `  althing proposal show 7
  althing proposal show 7 --output json`,
		Args: cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			id, err := parseProposal(args[0])
			if err != nil {
				return err
			}
			resp, err := l.Proposals().GetProposal(ctx, &proposalsv1.GetProposalRequest{Id: id, Height: height})
			if err != nil {
				return err
			}
			now, err := clockFor(ctx, l, height)
			if err != nil {
				return err
			}
			view := viewOf(ctx, l.units, resp, now)
			return s.show(g, view, view.text)
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}

// clockFor returns the clock of the node that is asked, or no time at all where the past is asked for.
func clockFor(ctx context.Context, l *link, height uint64) (time.Time, error) {
	if height > 0 {
		return time.Time{}, nil
	}
	status, err := l.Status(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return status.GetNow().AsTime(), nil
}

// statusAt returns a proposal's status at a time: what is open past its deadline has expired.
func statusAt(p *proposalsv1.Proposal, status governancev1.ProposalStatus, now time.Time) governancev1.ProposalStatus {
	if status == governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN && now.After(time.Unix(0, p.GetDeadlineUnixNano())) {
		return governancev1.ProposalStatus_PROPOSAL_STATUS_EXPIRED
	}
	return status
}

func viewOf(ctx context.Context, u *units, resp *proposalsv1.GetProposalResponse, now time.Time) proposalView {
	p, t := resp.GetProposal(), resp.GetTally()
	status := statusAt(p, resp.GetStatus(), now)
	v := proposalView{
		Height: resp.Height, ID: p.GetId(), Title: p.GetTitle(), Org: p.GetOrg(), Account: p.GetAccount(),
		Status: proposalStatus(status), Deadline: atNano(p.GetDeadlineUnixNano()),
		CreatedHeight: p.GetCreatedHeight(), ClosedHeight: p.GetClosedHeight(),
		Tally:   tallyView{t.GetYes(), t.GetNo(), t.GetOrgs(), t.GetNeeded(), fmt.Sprintf("%d/%d", p.GetNumerator(), p.GetDenominator())},
		Ballots: []ballotView{}, Operations: []object{}, Changes: []changeView{}, Diff: []string{},
	}
	for _, b := range p.GetBallots() {
		v.Ballots = append(v.Ballots, ballotView{b.GetOrg(), yesNo(b.GetYes()), b.GetAccount(), b.GetHeight()})
	}
	for _, op := range p.GetOperations() {
		v.Operations = append(v.Operations, u.render(ctx, op))
	}
	for _, c := range resp.GetChanges() {
		v.Changes = append(v.Changes, changeView{c.GetOperation(), c.GetSubject(), c.GetProperty(), c.GetBefore(), c.GetAfter()})
		v.Diff = append(v.Diff, diffLine(c))
	}
	switch {
	case p.GetCode() != 0:
		v.Refusal = &refusalView{p.Code, reasonWords(p.Code), p.Message, p.FailedOperation}
	case status == governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN && resp.GetRefusedCode() != 0:
		v.Refusal = &refusalView{resp.RefusedCode, reasonWords(resp.RefusedCode), resp.RefusedMessage, -1}
	}
	return v
}

// reasonWords is the name of the code of a number.
func reasonWords(code uint32) string { return tx.Reason(ledgerv1.Code(code)) }

// diffLine is one difference, for people: `org globex: status active → suspended`.
func diffLine(c *proposalsv1.Line) string {
	return fmt.Sprintf("%s: %s %s → %s", c.GetSubject(), c.GetProperty(), orNone(c.GetBefore()), orNone(c.GetAfter()))
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func (v proposalView) text(out io.Writer) {
	fmt.Fprintf(out, "proposal\t%d\ntitle\t%s\nby\t%s\nstatus\t%s\ndeadline\t%s\n", v.ID, v.Title, v.Account, v.Status, v.Deadline)
	fmt.Fprintf(out, "votes\t%d for it, %d against it, of %s; it takes %d\n", v.Tally.Yes, v.Tally.No, plural(v.Tally.Orgs, "organisation"), v.Tally.Needed)
	for _, b := range v.Ballots {
		fmt.Fprintf(out, "\t%s: %s, by %s at height %d\n", b.Org, b.Vote, b.Account, b.Height)
	}
	if v.Refusal != nil {
		what := "failed"
		if v.Status == proposalStatus(governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN) {
			what = "would be refused now"
		}
		fmt.Fprintf(out, "%s\t%s: %s\n", what, v.Refusal.Reason, v.Refusal.Message)
	}
	for i, line := range v.Diff {
		label := ""
		if i == 0 {
			label = "changes"
		}
		fmt.Fprintf(out, "%s\t%s\n", label, line)
	}
}

func newProposalListCommand(s *streams) *cobra.Command {
	var p paging
	var only string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the proposals, newest first",
		Example: `  althing proposal list
  althing proposal list --status open`,
		Args: cobra.NoArgs,
		RunE: s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
			var wanted governancev1.ProposalStatus
			if only != "" {
				number, err := enumNumber(wanted.Descriptor(), only)
				if err != nil {
					return usagef("--status: %w", err)
				}
				wanted = governancev1.ProposalStatus(number)
			}
			return s.listProposals(ctx, g, l, p, wanted)
		}),
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&only, "status", "", "only those with this `STATUS`: open, executed, failed, expired or withdrawn")
	return cmd
}

func (s *streams) listProposals(ctx context.Context, g globals, l *link, p paging, wanted governancev1.ProposalStatus) error {
	now, err := clockFor(ctx, l, p.height)
	if err != nil {
		return err
	}
	asked := wanted
	if wanted == governancev1.ProposalStatus_PROPOSAL_STATUS_EXPIRED {
		// By the ledger's time some of them are open yet.
		asked = governancev1.ProposalStatus_PROPOSAL_STATUS_UNSPECIFIED
	}
	found, err := collect(p, func(at uint64, page string, size uint32) (uint64, []*proposalsv1.Proposal, string, error) {
		resp, err := l.Proposals().ListProposals(ctx, &proposalsv1.ListProposalsRequest{Height: at, Page: page, PageSize: size, Status: asked})
		return resp.GetHeight(), resp.GetProposals(), resp.GetNextPage(), err
	})
	if err != nil {
		return err
	}
	if now.IsZero() {
		block, err := l.Block(ctx, found.height)
		if err != nil {
			return err
		}
		now = block.Time.AsTime()
	}
	var kept []*proposalsv1.Proposal
	for _, one := range found.items {
		one.Status = statusAt(one, one.Status, now)
		if wanted == governancev1.ProposalStatus_PROPOSAL_STATUS_UNSPECIFIED || one.Status == wanted {
			kept = append(kept, one)
		}
	}
	found.items = kept
	g.mixed = true // open or expired is by the node's clock
	return showList(ctx, s, g, l, "proposals", found, "ID\tSTATUS\tORG\tDEADLINE\tTITLE", func(out io.Writer, p *proposalsv1.Proposal) {
		fmt.Fprintf(out, "%d\t%s\t%s\t%s\t%s\n", p.Id, proposalStatus(p.Status), p.Org, time.Unix(0, p.DeadlineUnixNano).UTC().Format(time.RFC3339), p.Title)
	})
}
