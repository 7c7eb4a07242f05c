package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

func proposing(account string, ops ...*ledgerv1.Operation) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_ProposalCreate{
		ProposalCreate: &ledgerv1.Propose{Title: "a test", Operations: ops},
	}}
}

func voting(account string, proposal uint64, yes bool) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_ProposalVote{
		ProposalVote: &governancev1.Vote{Proposal: proposal, Yes: yes},
	}}
}

func suspend(org string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgSuspend{OrgSuspend: &accountsv1.SuspendOrg{Name: org, Reason: "a test"}}}
}

func setCharter(c *governancev1.Charter) *ledgerv1.Operation {
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_CharterSet{CharterSet: &governancev1.SetCharter{Charter: c}}}
}

// each decides a block with one transaction for each operation, all of which must be applied.
func (r *replica) each(ops ...*ledgerv1.Operation) *abci.ResponseFinalizeBlock {
	r.t.Helper()
	height := r.store.Height() + 1
	var txs [][]byte
	for _, op := range ops {
		txs = append(txs, r.world.sign(r.world.body(blockTime(height), op)))
	}
	res := r.decide(height, blockTime(height), txs...)
	for i, code := range codesOf(res) {
		if code != ledgerv1.Code_CODE_OK {
			outcomes, err := r.app.Outcomes(height)
			r.t.Fatalf("operation %d of block %d: %v %v %v", i, height, code, outcomes[i].GetMessage(), err)
		}
	}
	return res
}

// enact proposes operations for acme and has globex and initech agree: three of four orgs.
func (r *replica) enact(ops ...*ledgerv1.Operation) *abci.ResponseFinalizeBlock {
	r.t.Helper()
	r.each(proposing("acme/admin", ops...))
	id := r.newestProposal().Id
	r.each(voting("globex/admin", id, true))
	res := r.each(voting("initech/admin", id, true))
	if p := r.newestProposal(); p.Status != governancev1.ProposalStatus_PROPOSAL_STATUS_EXECUTED {
		r.t.Fatalf("proposal %d is %v: %v %s", p.Id, p.Status, ledgerv1.Code(p.Code), p.Message)
	}
	return res
}

func (r *replica) newestProposal() *proposalsv1.Proposal {
	r.t.Helper()
	view := r.store.Latest()
	defer view.Release()
	list, err := governance.ListProposals(view, &proposalsv1.ListProposalsRequest{PageSize: 1})
	if err != nil || len(list.Proposals) != 1 {
		r.t.Fatal(list, err)
	}
	return list.Proposals[0]
}

func listedIn(registry *membership.Registry) []string {
	var list []string
	for _, n := range registry.Nodes {
		list = append(list, n.Name)
	}
	return list
}

func updatesText(res *abci.ResponseFinalizeBlock) string {
	var list []string
	for _, u := range res.ValidatorUpdates {
		list = append(list, fmt.Sprintf("%x:%d", u.PubKey.GetEd25519()[:4], u.Power))
	}
	return strings.Join(list, " ")
}

func TestAFifthOrgIsVotedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	w.keys["hooli/admin"] = keyOf(t, keys.SchemeSchnorr, "hooli/admin")
	admit := &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgAdmit{OrgAdmit: &accountsv1.AdmitOrg{
		Name: "hooli", Accounts: []*accountsv1.Create{{
			Name: "hooli/admin", Keys: []*accountsv1.WeightedKey{listed(w.keys["hooli/admin"])}, Threshold: 1, Roles: []string{"admin"},
		}},
	}}}
	node := w.nodeOf("hooli-1", "hooli", "hooli.example:26656")
	res := r.enact(admit, &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: node}})
	if want := fmt.Sprintf("%x:10", node.Node.ValidatorKey[:4]); updatesText(res) != want {
		t.Errorf("the engine hears %q, want %q", updatesText(res), want)
	}
	registry := r.app.Registry()
	if !slices.Contains(listedIn(registry), "hooli-1") || registry.Height != r.store.Height() {
		t.Errorf("the registry of height %d lists %v", registry.Height, listedIn(registry))
	}
	if set := registry.Validators(r.store.Height() + 1); len(set) != 4 {
		t.Errorf("%d validators vote on the next block, want the 4 that did", len(set))
	}
	if set := registry.Validators(r.store.Height() + 2); len(set) != 5 {
		t.Errorf("%d validators vote on the block after the next one, want 5", len(set))
	}
	// It counts from now on: three of five are not more than two thirds.
	r.each(proposing("hooli/admin", setCharter(&governancev1.Charter{BlockIntervalMs: 300})))
	id := r.newestProposal().Id
	r.each(voting("acme/admin", id, true), voting("globex/admin", id, true))
	if p := r.newestProposal(); p.Status != governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN {
		t.Errorf("with three of five the proposal is %v", p.Status)
	}
	r.each(voting("initech/admin", id, true))
	if r.app.Charter().BlockIntervalMs != 300 {
		t.Error("the charter has not changed")
	}
	restarted := listedIn(registry)
	r.restart()
	if got := listedIn(r.app.Registry()); !slices.Equal(got, restarted) {
		t.Errorf("after a restart the registry lists %v, before it %v", got, restarted)
	}
}

// TestSuspension suspends an org whose transactions are pending, and one later in the same block.
func TestSuspension(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := withPool(t, w)
	r.each(proposing("acme/admin", suspend("umbrella")))
	id := r.newestProposal().Id
	r.each(voting("globex/admin", id, true))
	height := r.store.Height() + 1
	at := blockTime(height)
	pending := w.sign(w.body(at, createAsset("umbrella/admin", "umbrella/usd")))
	if _, err := r.app.Pool().Submit(t.Context(), pending); err != nil {
		t.Fatal(err)
	}
	decisive := w.sign(w.body(at, voting("initech/admin", id, true)))
	late := w.sign(w.body(at, createAsset("umbrella/admin", "umbrella/eur")))
	type waited struct {
		at  TransactionAt
		err error
	}
	answer := make(chan waited, 1)
	go func() {
		at, err := r.app.WaitTransaction(t.Context(), w.id(pending), at.Add(2*time.Minute).UnixNano())
		answer <- waited{at, err}
	}()
	r.waitWaiting(1)
	if !r.propose(height, at, decisive, late) {
		t.Fatal("the proposal is refused: what the block itself changes is no matter of its validity")
	}
	res := r.decide(height, at, decisive, late)
	if got := codesOf(res); !slices.Equal(got, []ledgerv1.Code{ledgerv1.Code_CODE_OK, ledgerv1.Code_CODE_AUTHORITY_CHANGED}) {
		t.Errorf("the results are %v", got)
	}
	if got := <-answer; !errors.Is(got.err, &tx.Rejection{Code: ledgerv1.Code_CODE_ORG_NOT_ACTIVE}) {
		t.Errorf("who waited for the pending transaction hears %v, %v", got.at, got.err)
	}
	if r.app.Pool().Pending(w.id(pending)) {
		t.Error("the transaction of the suspended org is still pending")
	}
	if _, err := r.app.Pool().Submit(t.Context(), pending); !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_ORG_NOT_ACTIVE}) {
		t.Errorf("sent again: %v", err)
	}
	key := keyOf(t, keys.SchemeEd25519, "umbrella-1 validator").Public().Bytes()
	if want := fmt.Sprintf("%x:0", key[:4]); updatesText(res) != want {
		t.Errorf("the engine hears %q, want %q", updatesText(res), want)
	}
	if slices.Contains(listedIn(r.app.Registry()), "umbrella-1") {
		t.Error("the mesh still admits the node")
	}
	resume := &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgResume{OrgResume: &accountsv1.ResumeOrg{Name: "umbrella"}}}
	if res = r.enact(resume); updatesText(res) != fmt.Sprintf("%x:10", key[:4]) {
		t.Errorf("on its return the engine hears %q", updatesText(res))
	}
	if !slices.Contains(listedIn(r.app.Registry()), "umbrella-1") {
		t.Error("the mesh does not admit the node that is back")
	}
}

// TestLosingTheQuorumIsRefusedEarly hands in what the network could not survive.
func TestLosingTheQuorumIsRefusedEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := withPool(t, w)
	lost := &tx.Rejection{Code: ledgerv1.Code_CODE_QUORUM_LOST}
	raw := w.sign(w.body(blockTime(2), proposing("acme/admin", suspend("umbrella"), suspend("initech"))))
	if _, err := r.app.Pool().Submit(t.Context(), raw); !errors.Is(err, lost) {
		t.Errorf("suspending two of four: %v", err)
	}
	// Decided all the same, it changes nothing.
	res := r.decide(2, blockTime(2), raw)
	if got := codesOf(res)[0]; got != ledgerv1.Code_CODE_QUORUM_LOST || len(res.ValidatorUpdates) != 0 {
		t.Errorf("in a block: %v, updates %q", got, updatesText(res))
	}
	if _, err := r.app.Pool().Submit(t.Context(), w.sign(w.body(blockTime(2), proposing("acme/admin", suspend("umbrella"))))); err != nil {
		t.Errorf("suspending one of four: %v", err)
	}
}

// TestAProposalThatFailsLeavesNothingBehind passes one whose second operation the state refuses by then.
func TestAProposalThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	slower := setCharter(&governancev1.Charter{BlockIntervalMs: 500})
	r.each(proposing("acme/admin", slower, suspend("umbrella")))
	first := r.newestProposal().Id
	r.enact(suspend("umbrella"))
	r.each(voting("globex/admin", first, true))
	res := r.each(voting("initech/admin", first, true))
	view := r.store.Latest()
	defer view.Release()
	answer, err := governance.GetProposal(view, &proposalsv1.GetProposalRequest{Id: first})
	if err != nil {
		t.Fatal(err)
	}
	p := answer.Proposal
	if p.Status != governancev1.ProposalStatus_PROPOSAL_STATUS_FAILED || p.FailedOperation != 1 || p.Code != uint32(ledgerv1.Code_CODE_WRONG_STATUS) {
		t.Errorf("the proposal is %v, operation %d, %v: %s", p.Status, p.FailedOperation, ledgerv1.Code(p.Code), p.Message)
	}
	if got := r.app.Charter().BlockIntervalMs; got == 500 {
		t.Error("its first operation was applied")
	}
	if len(res.ValidatorUpdates) != 0 {
		t.Errorf("the engine hears %q", updatesText(res))
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	r.each(proposing("acme/admin", suspend("umbrella"), setCharter(&governancev1.Charter{MaxOperations: 7})))
	view := r.store.Latest()
	defer view.Release()
	p := r.newestProposal()
	changes, refused, err := r.app.Preview(view, p)
	if err != nil || refused != nil {
		t.Fatal(refused, err)
	}
	var lines []string
	for _, c := range changes {
		if c.Property != "status_height" {
			lines = append(lines, fmt.Sprintf("%d %s %s: %s -> %s", c.Operation, c.Subject, c.Property, c.Before, c.After))
		}
	}
	want := []string{
		"0 org umbrella status: active -> suspended",
		"0 org umbrella status_reason:  -> a test",
		"1 charter max_operations: 100 -> 7",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("it would change\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if !bytes.Equal(r.store.AppHash(), view.AppHash()) {
		t.Error("looking at it has changed the state")
	}
	r.enact(suspend("umbrella"))
	newest := r.store.Latest()
	defer newest.Release()
	if _, refused, err = r.app.Preview(newest, p); err != nil || !errors.Is(refused, &tx.Rejection{Code: ledgerv1.Code_CODE_WRONG_STATUS}) {
		t.Error(refused, err)
	}
}

// TestAnOrgsPartOfABlock fills a block with the transactions of one org.
func TestAnOrgsPartOfABlock(t *testing.T) {
	t.Parallel()
	const part = 8 << 10
	w := newWorldWith(t, func(doc *genesisv1.Genesis) {
		doc.Charter = &governancev1.Charter{MaxTxBytes: 4 << 10, OrgBlockBytes: part}
	})
	r := withPool(t, w)
	var txs [][]byte
	var size int64
	for size <= part {
		txs = append(txs, w.pay(blockTime(2)))
		size += mempool.SizeInBlock(len(txs[len(txs)-1]))
	}
	for _, raw := range txs {
		if _, err := r.app.Pool().Submit(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	if r.propose(2, blockTime(2), txs...) {
		t.Error("a proposal with more than the org's part is accepted")
	}
	if !r.propose(2, blockTime(2), txs[1:]...) {
		t.Error("a proposal with just the org's part is refused")
	}
	other := w.sign(w.body(blockTime(2), createAsset("globex/admin", "globex/usd")))
	if _, err := r.app.Pool().Submit(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	chosen := r.fill(2, blockTime(2))
	if !slices.ContainsFunc(chosen, func(raw []byte) bool { return bytes.Equal(raw, other) }) {
		t.Error("the other org's transaction is not in the block")
	}
	if !r.propose(2, blockTime(2), chosen...) || len(chosen) != len(txs) {
		t.Errorf("our own proposal has %d transactions, want %d, or is refused", len(chosen), len(txs))
	}
	r.decide(2, blockTime(2), chosen...)
	if rest := r.fill(3, blockTime(3)); len(rest) != 1 {
		t.Errorf("%d transactions are left for the next block, want 1", len(rest))
	}
}

func TestAnOrgsPartOfTheState(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(doc *genesisv1.Genesis) {
		doc.Charter = &governancev1.Charter{OrgStoredBytes: 1 << 20}
	})
	r := withPool(t, w)
	put := func(account string, i int) []byte {
		return w.sign(w.body(blockTime(2), &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
			Record: fmt.Sprintf("%s/docs/%d", orgOf(account), i), ContentType: "text/plain",
			Content: &recordsv1.Put_Data{Data: bytes.Repeat([]byte{'a'}, 60<<10)},
		}}}))
	}
	height, stored := uint64(2), 0
	full := &tx.Rejection{Code: ledgerv1.Code_CODE_STORAGE_FULL}
	for ; ; stored++ {
		raw := put("acme/admin", stored)
		if _, err := r.app.Pool().Submit(t.Context(), raw); errors.Is(err, full) {
			if r.propose(height, blockTime(2), raw) {
				t.Error("a proposal with it is accepted")
			}
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if code := codesOf(r.decide(height, blockTime(2), raw))[0]; code != ledgerv1.Code_CODE_OK {
			t.Fatal(code)
		}
		height++
	}
	if stored != 17 {
		t.Errorf("%d records of 60 KiB went into a MiB", stored)
	}
	// What frees nothing is not refused, and other orgs have a part of their own.
	for name, raw := range map[string][]byte{"a transfer": w.pay(blockTime(2)), "another org": put("globex/admin", 0)} {
		if !r.propose(height, blockTime(2), raw) {
			t.Errorf("%s is refused", name)
		}
	}
	// Together in one block they may not exceed it either.
	if r.propose(height, blockTime(2), put("acme/admin", 90), put("acme/admin", 91)) {
		t.Error("two that exceed it together are accepted")
	}
}

func TestDoubleSigning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	key := keyOf(t, keys.SchemeEd25519, "umbrella-1 validator").Public().Bytes()
	sum := sha256.Sum256(key)
	address := sum[:20]
	before := r.store.AppHash()
	found := []abci.Misbehavior{{
		Type: abci.MisbehaviorType_DUPLICATE_VOTE, Validator: abci.Validator{Address: address, Power: 10},
		Height: 1, Time: blockTime(1), TotalVotingPower: 40,
	}}
	txs := [][]byte{w.pay(blockTime(2))}
	decide := func(r *replica) *abci.ResponseFinalizeBlock {
		r.app.KeepEvidence(2, [][]byte{[]byte("the raw votes")})
		res, err := r.app.FinalizeBlock(context.Background(), &abci.RequestFinalizeBlock{
			Height: 2, Time: blockTime(2), Hash: []byte("evidence"), Txs: txs, Misbehavior: found,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.app.Commit(context.Background(), &abci.RequestCommit{}); err != nil {
			t.Fatal(err)
		}
		return res
	}
	res := decide(r)
	// One that saw the proposal before it was decided comes to the same.
	saw := funded(t, newWorld(t), state.Config{})
	_, err := saw.app.ProcessProposal(context.Background(), &abci.RequestProcessProposal{
		Height: 2, Time: blockTime(2), Hash: []byte("evidence"), Txs: txs, Misbehavior: found,
	})
	if err != nil || saw.app.tried == nil {
		t.Fatal("the proposal is not kept", err)
	}
	if other := decide(saw); !bytes.Equal(other.AppHash, res.AppHash) {
		t.Errorf("after the proposal the app hash is %x, without it %x", other.AppHash, res.AppHash)
	}
	if want := fmt.Sprintf("%x:0", key[:4]); updatesText(res) != want {
		t.Errorf("the engine hears %q, want %q", updatesText(res), want)
	}
	if bytes.Equal(r.store.AppHash(), before) {
		t.Error("the state does not tell of it")
	}
	view := r.store.Latest()
	defer view.Release()
	list, err := membership.ListEvidence(view, &membershipv1.ListEvidenceRequest{})
	if err != nil || len(list.Evidence) != 1 {
		t.Fatal(list, err)
	}
	if e := list.Evidence[0]; e.Node != "umbrella-1" || e.Org != "umbrella" || string(e.Raw) != "the raw votes" || e.OffenceHeight != 1 {
		t.Errorf("recorded is %v", e)
	}
	if set := r.app.Registry().Validators(4); len(set) != 3 {
		t.Errorf("%d validators vote on block 4, want 3", len(set))
	}
	// The org cannot give the power to another node of its own.
	add := w.nodeOf("umbrella-2", "umbrella", "127.0.0.1:1")
	raw := w.sign(w.body(blockTime(3), &ledgerv1.Operation{
		Account: "umbrella/admin", Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: add},
	}))
	if got := codesOf(r.decide(3, blockTime(3), raw)); got[0] != ledgerv1.Code_CODE_BEYOND_ALLOTMENT {
		t.Errorf("another validator of the convicted org: %v", got)
	}
}

// TestDeliberationIsBounded asks more of governance than a transaction, and an org in a block, may.
func TestDeliberationIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	votes := func(account string, n int) []byte {
		var ops []*ledgerv1.Operation
		for range n {
			ops = append(ops, voting(account, 1, true))
		}
		return w.sign(w.body(blockTime(2), ops...))
	}
	if code := codesOf(r.decide(2, blockTime(2), votes("acme/admin", maxDeliberation+1)))[0]; code != ledgerv1.Code_CODE_TOO_LARGE {
		t.Errorf("too many votes in a transaction: %v", code)
	}
	var txs [][]byte
	for range orgDeliberation / maxDeliberation {
		txs = append(txs, votes("acme/admin", maxDeliberation))
	}
	if !r.propose(3, blockTime(2), append(txs[:len(txs):len(txs)], votes("globex/admin", 1))...) {
		t.Error("what the orgs may is refused")
	}
	if r.propose(3, blockTime(2), append(txs[:len(txs):len(txs)], votes("acme/admin", 1))...) {
		t.Error("more votes of an org than a block may hold are accepted")
	}
}

// TestUpgrade plans rules that this program does not know: it follows the old ones up to the height, and stops there.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	const at = 8
	r.enact(&ledgerv1.Operation{Kind: &ledgerv1.Operation_UpgradeSchedule{UpgradeSchedule: &governancev1.ScheduleUpgrade{
		Upgrade: &governancev1.Upgrade{Height: at, FeatureLevel: FeatureLevel + 1, Note: "install version 2"},
	}}})
	for r.store.Height() < at-1 {
		if err := r.app.Outdated(); err != nil {
			t.Fatalf("at height %d: %v", r.store.Height(), err)
		}
		res := r.each()
		if last := r.store.Height() == at-1; last != (res.ConsensusParamUpdates != nil) {
			t.Errorf("at height %d the engine hears %v", r.store.Height(), res.ConsensusParamUpdates)
		} else if last && res.ConsensusParamUpdates.Version.App != FeatureLevel+1 {
			t.Errorf("the engine hears of level %d", res.ConsensusParamUpdates.Version.App)
		}
	}
	if err := r.app.Outdated(); !errors.Is(err, ErrNewerRules) || !strings.Contains(err.Error(), "install version 2") {
		t.Errorf("before the height: %v", err)
	}
	if _, err := r.tryDecide(at, blockTime(at), nil); !errors.Is(err, ErrNewerRules) {
		t.Errorf("at the height: %v", err)
	}
	r.close()
	if err := r.tryOpen(); !errors.Is(err, ErrNewerRules) {
		t.Errorf("after a restart: %v", err)
	}
	r.store = nil
}

func TestBlockSizeFollowsTheCharter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	res := r.enact(setCharter(&governancev1.Charter{MaxBlockBytes: 5 << 20}))
	if got := res.ConsensusParamUpdates.GetBlock().GetMaxBytes(); got != 5<<20+BlockOverhead {
		t.Errorf("the engine hears of %d bytes", got)
	}
	if res = r.each(); res.ConsensusParamUpdates != nil {
		t.Errorf("the block after it hears of %v", res.ConsensusParamUpdates)
	}
}
