package governance_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/governance"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/statetest"
)

// assembly is a world in which proposals that pass are applied, as the state machine applies them.
type assembly struct{ *exectest.World }

// newAssembly returns an assembly of orgs, each with the account `admin`.
func newAssembly(t testing.TB, charter *governancev1.Charter, orgs ...string) assembly {
	t.Helper()
	a := assembly{exectest.New()}
	var lines strings.Builder
	for _, org := range orgs {
		fmt.Fprintf(&lines, "%s/admin admin\n", org)
	}
	a.genesis(t, charter, lines.String())
	return a
}

func (a assembly) genesis(t testing.TB, charter *governancev1.Charter, lines string) string {
	t.Helper()
	if err := governance.Genesis(a.State, charter, 1); err != nil {
		t.Fatal(err)
	}
	return a.Genesis(t, lines)
}

func (a assembly) propose(t testing.TB, as, title string, operations ...*ledgerv1.Operation) exectest.Outcome {
	t.Helper()
	op := &ledgerv1.Propose{Title: title, Operations: operations}
	return a.Do(t, as, governance.CheckPropose(op), func(env *exec.Env, kv exec.KV) error {
		p, passed, err := governance.Propose(env, governance.Open(kv), accounts.Read(kv), proto.CloneOf(op))
		return enact(env, kv, p, passed, err)
	})
}

func (a assembly) vote(t testing.TB, as string, id uint64, yes bool) exectest.Outcome {
	t.Helper()
	op := &governancev1.Vote{Proposal: id, Yes: yes}
	return a.Do(t, as, governance.CheckVote(op), func(env *exec.Env, kv exec.KV) error {
		p, passed, err := governance.Vote(env, governance.Open(kv), accounts.Read(kv), op)
		return enact(env, kv, p, passed, err)
	})
}

func (a assembly) withdraw(t testing.TB, as string, id uint64) exectest.Outcome {
	t.Helper()
	op := &governancev1.Withdraw{Proposal: id}
	return a.Do(t, as, governance.CheckWithdraw(op), func(env *exec.Env, kv exec.KV) error {
		return governance.Withdraw(env, governance.Open(kv), accounts.Read(kv), op)
	})
}

// decree applies operations as if the members had agreed on them, for what comes before a test.
func (a assembly) decree(t testing.TB, operations ...*ledgerv1.Operation) exectest.Outcome {
	t.Helper()
	return a.Do(t, exectest.Vote, nil, func(env *exec.Env, kv exec.KV) error {
		_, err := apply(env, kv, operations)
		return err
	})
}

// enact applies a proposal that has passed, all of its operations or none, and closes it.
func enact(env *exec.Env, kv exec.KV, p *proposalsv1.Proposal, passed bool, err error) error {
	if err != nil || !passed {
		return err
	}
	inner, events := *env, []*ledgerv1.Event(nil)
	inner.Account, inner.Org, inner.Proposal = "", "", p.Id
	inner.Emit = func(e *ledgerv1.Event) { events = append(events, e) }
	changes := layer{KV: kv, values: make(map[string][]byte)}
	at, err := apply(&inner, changes, p.Operations)
	if code, rejected := tx.CodeOf(err); err != nil && rejected {
		return governance.Close(env, governance.Open(kv), p, governancev1.ProposalStatus_PROPOSAL_STATUS_FAILED, code, at, err.Error())
	} else if err != nil {
		return err
	}
	changes.flush()
	for _, e := range events {
		env.Emit(e)
	}
	return governance.Close(env, governance.Open(kv), p, governancev1.ProposalStatus_PROPOSAL_STATUS_EXECUTED, ledgerv1.Code_CODE_OK, -1, "")
}

// apply is the part of the state machine's switch that these tests need.
func apply(env *exec.Env, kv exec.KV, operations []*ledgerv1.Operation) (failed int32, err error) {
	s, orgs := governance.Open(kv), accounts.Open(kv)
	for i, op := range operations {
		switch k := op.Kind.(type) {
		case *ledgerv1.Operation_CharterSet:
			err = governance.SetCharter(env, s, k.CharterSet)
		case *ledgerv1.Operation_UpgradeSchedule:
			err = governance.ScheduleUpgrade(env, s, k.UpgradeSchedule)
		case *ledgerv1.Operation_OrgAdmit:
			err = accounts.AdmitOrg(env, orgs, &accountsv1.Allotment{Power: 10, Nodes: 4}, k.OrgAdmit)
		case *ledgerv1.Operation_OrgSuspend:
			err = accounts.SuspendOrg(env, orgs, k.OrgSuspend)
		case *ledgerv1.Operation_OrgResume:
			err = accounts.ResumeOrg(env, orgs, k.OrgResume)
		case *ledgerv1.Operation_OrgRemove:
			err = accounts.RemoveOrg(env, orgs, k.OrgRemove)
		default:
			err = fmt.Errorf("the tests know no %T", k)
		}
		if err != nil {
			return int32(i), err
		}
	}
	return -1, nil
}

// layer is a write buffer over another.
type layer struct {
	exec.KV
	values map[string][]byte // nil for deleted
}

func (l layer) Get(key []byte) ([]byte, error) {
	if value, ok := l.values[string(key)]; ok {
		return value, nil
	}
	return l.KV.Get(key)
}

func (l layer) Set(key, value []byte) { l.values[string(key)] = value }
func (l layer) Delete(key []byte)     { l.values[string(key)] = nil }

func (l layer) flush() {
	for _, key := range slices.Sorted(maps.Keys(l.values)) {
		if value := l.values[key]; value != nil {
			l.KV.Set([]byte(key), value)
		} else {
			l.KV.Delete([]byte(key))
		}
	}
}

// view is what queries read.
type view struct {
	*statetest.Memory
	height uint64
	time   time.Time
}

func (v view) Height() uint64       { return v.height }
func (v view) BlockTime() time.Time { return v.time }

func (a assembly) view() view { return view{a.State, a.Height, a.Time} }

func (a assembly) show(t testing.TB, id uint64) *proposalsv1.GetProposalResponse {
	t.Helper()
	answer, err := governance.GetProposal(a.view(), &proposalsv1.GetProposalRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (a assembly) status(t testing.TB, id uint64) governancev1.ProposalStatus {
	t.Helper()
	return a.show(t, id).Status
}

func (a assembly) charter(t testing.TB) *governancev1.Charter {
	t.Helper()
	charter, err := governance.Read(a.State).Charter()
	if err != nil {
		t.Fatal(err)
	}
	return charter
}

// operation reads an operation as people write it in transcripts.
func operation(t testing.TB, text string) *ledgerv1.Operation {
	t.Helper()
	op := new(ledgerv1.Operation)
	if err := prototext.Unmarshal([]byte(text), op); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return op
}

func operations(t testing.TB, lines string) (list []*ledgerv1.Operation) {
	t.Helper()
	for line := range strings.Lines(lines) {
		list = append(list, operation(t, line))
	}
	return list
}

func setCharter(c *governancev1.Charter) *ledgerv1.Operation {
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_CharterSet{CharterSet: &governancev1.SetCharter{Charter: c}}}
}

func suspend(org string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgSuspend{OrgSuspend: &accountsv1.SuspendOrg{Name: org}}}
}

func resume(org string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgResume{OrgResume: &accountsv1.ResumeOrg{Name: org}}}
}

func isCode(err error, code ledgerv1.Code) bool {
	got, ok := tx.CodeOf(err)
	return ok && got == code
}
