package governance_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/governance"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/state/keyspace"
)

// TestTranscripts runs testdata/transcripts; `go test -run Transcripts -rewrite` writes them anew, to be reviewed as a diff.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		a := assembly{exectest.New()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return talk(t, &a, d) })
	})
}

func talk(t *testing.T, a *assembly, d *datadriven.TestData) string {
	t.Helper()
	as, id := exectest.Arg(d, "as"), exectest.Number(t, d, "id")
	switch d.Cmd {
	case "genesis":
		*a = assembly{exectest.New()}
		charter, lines := new(governancev1.Charter), d.Input
		if rest, found := strings.CutPrefix(lines, "charter "); found {
			text, others, _ := strings.Cut(rest, "\n")
			if err := prototext.Unmarshal([]byte(text), charter); err != nil {
				d.Fatalf(t, "%v", err)
			}
			lines = others
		}
		return a.genesis(t, charter, lines)
	case "propose":
		return a.text(a.propose(t, as, exectest.Arg(d, "title"), operations(t, d.Input)...))
	case "many":
		for range exectest.Number(t, d, "n") {
			if out := a.propose(t, as, "", operation(t, "charter_set { charter { max_operations: 50 } }")); out.Err != nil {
				return a.text(out)
			}
		}
		return fmt.Sprintf("height %d", a.Height)
	case "open":
		open := new(governancev1.OpenProposals)
		if _, err := exec.Get(a.State, keyspace.Key(keyspace.PrefixOpenProposals, exectest.Arg(d, "org")), open); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(open.Ids)
	case "vote":
		return a.text(a.vote(t, as, id, d.HasArg("yes")))
	case "withdraw":
		return a.text(a.withdraw(t, as, id))
	case "decree":
		return a.text(a.decree(t, operations(t, d.Input)...))
	case "do": // an operation by an account
		op := operation(t, d.Input)
		return a.text(a.Do(t, as, nil, func(env *exec.Env, kv exec.KV) error {
			_, err := apply(env, kv, []*ledgerv1.Operation{op})
			return err
		}))
	case "check":
		return check(operation(t, d.Input))
	case "pass":
		long, err := time.ParseDuration(exectest.Arg(d, "time"))
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		a.Pass(long)
		return a.Time.Format(time.RFC3339)
	case "skip":
		a.Height = exectest.Number(t, d, "to")
		return fmt.Sprintf("height %d", a.Height)
	case "show":
		answer := a.show(t, id)
		return fmt.Sprintf("%s\nstatus=%s tally={%s}", a.Message(answer.Proposal), answer.Status, a.Message(answer.Tally))
	case "list":
		return a.list(t, d)
	case "charter":
		return a.charterText(t)
	case "level":
		return a.level(t, exectest.Number(t, d, "at"))
	case "edges":
		return edges(t, uint32(exectest.Number(t, d, "numerator")), uint32(exectest.Number(t, d, "denominator")))
	}
	t.Fatalf("unknown command %q", d.Cmd)
	return ""
}

// text is [exectest.World.Text] without what a charter shares with the defaults.
func (a assembly) text(out exectest.Outcome) string {
	for _, e := range out.Events {
		if set := e.GetCharterSet(); set != nil {
			set.Charter = unusual(set.Charter)
		}
	}
	return a.Text(out)
}

// unusual is a charter without what is as by default.
func unusual(c *governancev1.Charter) *governancev1.Charter {
	c = proto.CloneOf(c)
	defaults := governance.Defaults().ProtoReflect()
	c.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if v.Equal(defaults.Get(fd)) {
			c.ProtoReflect().Clear(fd)
		}
		return true
	})
	return c
}

func (a assembly) charterText(t *testing.T) string {
	t.Helper()
	answer, err := governance.GetCharter(a.view(), &governancev1.GetCharterRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("{%s} feature_level=%d upgrade={%s}", a.Message(unusual(answer.Charter)), answer.FeatureLevel, a.Message(answer.Upgrade))
}

// level shows the level of the leaf, the planned upgrade, and what is in force at a height.
func (a assembly) level(t *testing.T, height uint64) string {
	t.Helper()
	r := governance.Read(a.State)
	leaf, err := r.FeatureLevel()
	if err != nil {
		t.Fatal(err)
	}
	upgrade, err := r.Upgrade()
	if err != nil {
		t.Fatal(err)
	}
	at, err := r.LevelAt(height)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("leaf %d, planned {%s}, in force at %d: %d", leaf, a.Message(upgrade), height, at)
}

func (a assembly) list(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	q := &proposalsv1.ListProposalsRequest{
		PageSize: uint32(exectest.Number(t, d, "size")),
		Status:   governancev1.ProposalStatus(governancev1.ProposalStatus_value["PROPOSAL_STATUS_"+exectest.Arg(d, "status")]),
	}
	var pages []string
	for first := true; first || q.Page != ""; first = false {
		answer, err := governance.ListProposals(a.view(), q)
		if err != nil {
			return a.Text(exectest.Outcome{Err: err})
		}
		var ids []string
		for _, p := range answer.Proposals {
			ids = append(ids, fmt.Sprintf("%d %s", p.Id, strings.TrimPrefix(p.Status.String(), "PROPOSAL_STATUS_")))
		}
		pages = append(pages, strings.Join(ids, ", "))
		q.Page = answer.NextPage
	}
	return strings.Join(pages, "\n")
}

func check(op *ledgerv1.Operation) string {
	var err error
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_ProposalCreate:
		err = governance.CheckPropose(k.ProposalCreate)
	case *ledgerv1.Operation_ProposalVote:
		err = governance.CheckVote(k.ProposalVote)
	case *ledgerv1.Operation_ProposalWithdraw:
		err = governance.CheckWithdraw(k.ProposalWithdraw)
	case *ledgerv1.Operation_CharterSet:
		err = governance.CheckSetCharter(k.CharterSet)
	case *ledgerv1.Operation_UpgradeSchedule:
		err = governance.CheckScheduleUpgrade(k.UpgradeSchedule)
	}
	if err == nil {
		return "passes"
	}
	return exectest.New().Text(exectest.Outcome{Err: err})
}

// edges lets 1 to 7 orgs vote one after the other, all for a proposal and then all but its own org against it, and says
// which vote closes it.
func edges(t *testing.T, numerator, denominator uint32) string {
	t.Helper()
	charter := &governancev1.Charter{Rules: []*governancev1.Rule{{Numerator: numerator, Denominator: denominator}}}
	var lines []string
	for n := 1; n <= 7; n++ {
		for _, yes := range []bool{true, false} {
			a := newAssembly(t, charter, names(n)...)
			a.propose(t, "org-0/admin", "", setCharter(&governancev1.Charter{MaxOperations: 7}))
			votes := 0
			for i := 1; i < n && a.status(t, 1) == governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN; i++ {
				a.vote(t, fmt.Sprintf("org-%d/admin", i), 1, yes)
				votes++
			}
			answer := a.show(t, 1)
			text := fmt.Sprintf("%d orgs, %d needed: %s with %d yes, %d no", n, answer.Tally.Needed,
				strings.TrimPrefix(answer.Status.String(), "PROPOSAL_STATUS_"), answer.Tally.Yes, answer.Tally.No)
			if changed := a.charter(t).MaxOperations == 7; changed != (answer.Status == governancev1.ProposalStatus_PROPOSAL_STATUS_EXECUTED) {
				t.Errorf("%s: the charter has changed: %v", text, changed)
			}
			if yes || n > 1 {
				lines = append(lines, text)
			}
		}
	}
	return strings.Join(lines, "\n")
}

func names(n int) (orgs []string) {
	for i := range n {
		orgs = append(orgs, fmt.Sprintf("org-%d", i))
	}
	return orgs
}
