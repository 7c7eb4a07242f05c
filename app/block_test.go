package app

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

// pay is a transfer that always succeeds once funded has run.
func (w *world) pay(at time.Time) []byte {
	w.t.Helper()
	return w.sign(w.body(at, transfer("acme/treasury", "acme/usd", "globex/treasury", "1")))
}

// funded runs the first block: acme/treasury has a million acme/usd.
func funded(t *testing.T, w *world, cfg state.Config) *replica {
	t.Helper()
	r := newReplica(t, w, cfg)
	res := r.decide(1, blockTime(1), w.sign(w.body(blockTime(1), createAsset("acme/admin", "acme/usd"),
		mint("acme/admin", "acme/usd", "acme/treasury", "1000000"))))
	if codes := codesOf(res); codes[0] != ledgerv1.Code_CODE_OK {
		t.Fatalf("the first block: %v", codes)
	}
	return r
}

func TestEmptyBlockTouchesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	before := r.store.AppHash()
	for height := uint64(2); height < 6; height++ {
		if res := r.decide(height, blockTime(height)); !bytes.Equal(res.AppHash, before) {
			t.Fatalf("block %d without transactions changed the app hash", height)
		}
	}
}

// TestAdmission shows for every reason why a transaction may not stand in a block that it makes a proposal invalid, and
// that it leaves nothing behind if it is decided all the same.
func TestAdmission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	committed := w.pay(blockTime(2))
	r.decide(2, blockTime(2), committed)
	at := blockTime(3)
	change := func(change func(*ledgerv1.Body)) []byte {
		body := w.body(at, transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
		change(body)
		return w.sign(body)
	}
	w.keys["stranger/admin"] = keyOf(t, keys.SchemeSchnorr, "stranger")
	damaged := slices.Clone(w.pay(at))
	damaged[len(damaged)-1] ^= 1
	for _, c := range []struct {
		name string
		raw  []byte
		code ledgerv1.Code
	}{
		{"not a transaction", []byte("\xff\xff"), ledgerv1.Code_CODE_MALFORMED},
		{"another network", change(func(b *ledgerv1.Body) { b.ChainId = "other-12345678" }), ledgerv1.Code_CODE_WRONG_CHAIN},
		{"expired", change(func(b *ledgerv1.Body) { b.ExpiresAt = timestamppb.New(at) }), ledgerv1.Code_CODE_EXPIRED},
		{"too distant", change(func(b *ledgerv1.Body) { b.ExpiresAt = timestamppb.New(at.Add(25 * time.Hour)) }), ledgerv1.Code_CODE_EXPIRY_TOO_DISTANT},
		{"committed before", committed, ledgerv1.Code_CODE_DUPLICATE},
		{"unknown account", change(func(b *ledgerv1.Body) { b.Operations[0].Account = "stranger/admin" }), ledgerv1.Code_CODE_UNKNOWN_ACCOUNT},
		{"a stranger's key", func() []byte {
			w := &world{t: t, genesis: w.genesis, nonces: w.nonces, keys: map[string]keys.PrivateKey{"acme/treasury": w.keys["stranger/admin"]}}
			return w.pay(at)
		}(), ledgerv1.Code_CODE_KEY_NOT_LISTED},
		{"a damaged signature", damaged, ledgerv1.Code_CODE_WRONG_SIGNATURE},
		{"a bad amount", change(func(b *ledgerv1.Body) {
			b.Operations = []*ledgerv1.Operation{transfer("acme/treasury", "acme/usd", "globex/treasury", "0")}
		}), ledgerv1.Code_CODE_BAD_AMOUNT},
		{"a bad name", change(func(b *ledgerv1.Body) {
			b.Operations = []*ledgerv1.Operation{transfer("acme/treasury", "acme/usd", "Globex/treasury", "1")}
		}), ledgerv1.Code_CODE_BAD_NAME},
	} {
		t.Run(c.name, func(t *testing.T) {
			height := r.store.Height() + 1
			if r.propose(height, at, w.pay(at), c.raw) {
				t.Error("the proposal is accepted")
			}
			before := r.store.AppHash()
			res := r.decide(height, at, c.raw)
			if got := ledgerv1.Code(res.TxResults[0].Code); got != c.code {
				t.Errorf("the result is %v, want %v", got, c.code)
			}
			if !bytes.Equal(res.AppHash, before) {
				t.Error("the state has changed")
			}
		})
	}
	if at, err := r.app.Transaction(w.id(committed), 0); err != nil || at.Outcome.GetHeight() != 2 {
		t.Errorf("the committed transaction is %v, %v", at, err)
	}
}

// TestRefusedIDIsFree shows that an unauthorised copy cannot burn the id of a transaction.
func TestRefusedIDIsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	body := w.body(blockTime(2), transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
	good := w.sign(body)
	thief := &world{t: t, genesis: w.genesis, keys: map[string]keys.PrivateKey{"acme/treasury": w.keys["globex/admin"]}}
	r.decide(2, blockTime(2), thief.sign(body))
	if at, err := r.app.Transaction(w.id(good), 0); err != nil || at.Status != ledgerv1.TxStatus_TX_STATUS_UNKNOWN {
		t.Errorf("after the thief's copy the id is %v, %v", at, err)
	}
	if res := r.decide(3, blockTime(3), good); res.TxResults[0].Code != 0 {
		t.Errorf("the good copy ended with %v", codesOf(res))
	}
}

func TestDuplicateInsideABlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	raw := w.pay(blockTime(2))
	if r.propose(2, blockTime(2), raw, raw) {
		t.Error("a proposal with the same transaction twice is accepted")
	}
	res := r.decide(2, blockTime(2), raw, raw)
	if got := codesOf(res); got[0] != ledgerv1.Code_CODE_OK || got[1] != ledgerv1.Code_CODE_DUPLICATE {
		t.Errorf("the results are %v", got)
	}
	at, err := r.app.Transaction(w.id(raw), 0)
	if err != nil || at.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED || at.Outcome.Index != 0 {
		t.Errorf("the transaction is %v, %v", at, err)
	}
}

// TestAuthorityLostInsideTheBlock rotates a key and uses the old one later in the same block: the block is valid, the later
// transaction has no effect, and its id is taken.
func TestAuthorityLostInsideTheBlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	old, next := w.keys["acme/treasury"].Public(), keyOf(t, keys.SchemeEd25519, "next")
	rotate := w.sign(w.body(blockTime(2), &ledgerv1.Operation{Account: "acme/treasury", Kind: &ledgerv1.Operation_AccountRotateKey{
		AccountRotateKey: &accountsv1.RotateKey{Name: "acme/treasury", OldKey: listed(w.keys["acme/treasury"]).PublicKey, NewKey: listed(next).PublicKey},
	}}))
	pay := w.pay(blockTime(2))
	if !r.propose(2, blockTime(2), rotate, pay) {
		t.Fatalf("the proposal is refused (old key %v)", old)
	}
	if got := codesOf(r.decide(2, blockTime(2), rotate, pay)); got[0] != ledgerv1.Code_CODE_OK || got[1] != ledgerv1.Code_CODE_AUTHORITY_CHANGED {
		t.Fatalf("the results are %v", got)
	}
	at, err := r.app.Transaction(w.id(pay), 0)
	if err != nil || at.Status != ledgerv1.TxStatus_TX_STATUS_REJECTED {
		t.Errorf("the payment is %v, %v", at, err)
	}
	w.keys["acme/treasury"] = next
	if got := codesOf(r.decide(3, blockTime(3), w.pay(blockTime(3)))); got[0] != ledgerv1.Code_CODE_OK {
		t.Errorf("with the new key: %v", got)
	}
}

// TestPanicRefusesTheProposal hands the pipeline a transaction that no decoder produces, to make a handler panic.
func TestPanicRefusesTheProposal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	raw := w.pay(blockTime(2))
	verdicts := r.app.verifier.Verify([][]byte{raw}, r.app.rules.Load().limits)
	poison := *verdicts[0].Tx
	poison.Body = &ledgerv1.Body{Operations: []*ledgerv1.Operation{{Account: "acme/treasury", Kind: &ledgerv1.Operation_AssetTransfer{}}}}
	req := &abci.RequestProcessProposal{Height: 2, Time: blockTime(2), Txs: [][]byte{raw}, Hash: []byte("poison")}
	if err := r.app.try(req, func() []mempool.Verdict { return []mempool.Verdict{{Tx: &poison}} }); !errors.Is(err, errInvalidProposal) {
		t.Fatalf("the proposal is %v", err)
	}
	if n := r.store.Metrics().OpenViews; n != 0 {
		t.Errorf("%d views are left open", n)
	}
	if n := r.app.pool.Stats().Quarantined; n != 1 {
		t.Errorf("%d transactions are in quarantine", n)
	}
	// The same bytes are harmless in truth, and a decided block with them is executed.
	if got := codesOf(r.decide(2, blockTime(2), raw)); got[0] != ledgerv1.Code_CODE_OK {
		t.Errorf("the decided block: %v", got)
	}
}

// keepLittle is the charter of a network whose nodes may forget almost everything.
func keepLittle(doc *genesisv1.Genesis) {
	doc.Charter = &governancev1.Charter{KeepHeights: 2, KeepSeconds: 1}
}

// TestForgetting runs blocks past the expiry of their transactions: the tree keeps the digests of unexpired ids only, and
// the index lets go of what is pruned and expired, and says so.
func TestForgetting(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, keepLittle)
	cfg := statetest.Config(t.TempDir())
	cfg.KeepHeights = 3
	r := funded(t, w, cfg)
	first := w.pay(blockTime(2))
	firstExpires := blockTime(2).Add(2 * time.Minute).UnixNano()
	r.decide(2, blockTime(2), first)
	at := blockTime(2)
	for height := uint64(3); height < 30; height++ {
		at = at.Add(20 * time.Second)
		r.decide(height, at, w.pay(at))
	}
	at = at.Add(time.Second)
	r.decide(30, at, w.pay(at))
	leaves := 0
	view := r.store.Latest()
	defer view.Release()
	start, end := keyspace.PrefixRange(keyspace.Key(keyspace.PrefixBlockIDs))
	if err := view.Scan(start, end, func(_, _ []byte) (bool, error) { leaves++; return true, nil }); err != nil {
		t.Fatal(err)
	}
	if leaves != 7 {
		t.Errorf("the tree keeps the ids of %d blocks, want those of the last two minutes: 7", leaves)
	}
	if got, err := r.app.Transaction(w.id(first), firstExpires); !errors.Is(err, ErrHistoryPruned) {
		t.Errorf("a forgotten transaction is %v, %v", got, err)
	}
	if _, err := r.app.Outcomes(2); !errors.Is(err, ErrHistoryPruned) {
		t.Errorf("the outcomes of a forgotten block: %v", err)
	}
	never := w.body(at.Add(-3*time.Minute), transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
	never.ExpiresAt = timestamppb.New(at)
	if got, err := r.app.Transaction(w.id(w.sign(never)), at.UnixNano()); err != nil || got.Status != ledgerv1.TxStatus_TX_STATUS_EXPIRED {
		t.Errorf("a transaction that no block took is %v, %v", got, err)
	}
	if found, err := Examine(context.Background(), w.genesis, r.store); err != nil || len(found) > 0 {
		t.Errorf("examine: %v %v", found, err)
	}
}

func TestLongExpiriesAreCapped(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(doc *genesisv1.Genesis) { doc.Charter = &governancev1.Charter{LongExpiriesPerOrg: 3} })
	r := funded(t, w, state.Config{})
	long := func(hours int) []byte {
		body := w.body(blockTime(2), transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
		body.ExpiresAt = timestamppb.New(blockTime(2).Add(time.Duration(hours) * time.Hour))
		return w.sign(body)
	}
	got := codesOf(r.decide(2, blockTime(2), long(2), long(2)))
	got = append(got, codesOf(r.decide(3, blockTime(2), long(2), long(2), long(3), w.pay(blockTime(2))))...)
	const ok, many = ledgerv1.Code_CODE_OK, ledgerv1.Code_CODE_TOO_MANY_LONG_EXPIRIES
	if want := []ledgerv1.Code{ok, ok, ok, many, ok, ok}; !slices.Equal(got, want) {
		t.Errorf("the results are %v, want %v", got, want)
	}
}

func TestLongExpiryBuckets(t *testing.T) {
	t.Parallel()
	var l longExpiries
	for _, hour := range []uint32{7, 5, 7, 9, 5, 7} {
		l = l.add(hour, 5)
	}
	if want := (longExpiries{{5, 2}, {7, 3}, {9, 1}}); !slices.Equal(l, want) {
		t.Errorf("the buckets are %v, want %v", l, want)
	}
	if l = l.add(8, 7); !slices.Equal(l, longExpiries{{7, 3}, {8, 1}, {9, 1}}) {
		t.Errorf("after two hours the buckets are %v", l)
	}
	kv := state.NewOverlay(nothing{})
	kv.Set(longKey("acme"), l.encode())
	if again, err := readLong(kv, "acme"); err != nil || !slices.Equal(again, l) {
		t.Errorf("read back: %v, %v", again, err)
	}
}

// TestCommitFailsAtEveryWrite interrupts commits at each write, lost and done, reopens, replays, and compares with a
// replica that nothing happened to.
func TestCommitFailsAtEveryWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	control := newReplica(t, w, state.Config{})
	type decided struct {
		at  time.Time
		txs [][]byte
	}
	blocks := []decided{{blockTime(1), [][]byte{w.sign(w.body(blockTime(1), createAsset("acme/admin", "acme/usd"),
		mint("acme/admin", "acme/usd", "acme/treasury", "1000000")))}}}
	for height := uint64(2); height <= 8; height++ {
		at := blockTime(40 * height)
		blocks = append(blocks, decided{at, [][]byte{w.pay(at), w.pay(at)}})
	}
	var want [][]byte
	for i, b := range blocks {
		want = append(want, control.decide(uint64(i+1), b.at, b.txs...).AppHash)
	}
	for _, written := range []bool{false, true} {
		for write := 1; ; write++ {
			plan := statetest.FailWrite(write, written)
			r := &replica{t: t, world: w, cfg: statetest.Config(t.TempDir())}
			r.cfg.KeepHeights = 2
			r.cfg.WriteHook = plan.Hook
			if err := r.tryOpen(); err == nil {
				for i, b := range blocks {
					if _, err := r.tryDecide(uint64(i+1), b.at, b.txs); err != nil {
						break
					}
				}
				r.app.Close()
				_ = r.store.Close() // reports the injected failure
			}
			r.cfg.WriteHook = nil
			r.open()
			for height := r.store.Height() + 1; height <= uint64(len(blocks)); height++ {
				b := blocks[height-1]
				if got := r.decide(height, b.at, b.txs...).AppHash; !bytes.Equal(got, want[height-1]) {
					t.Fatalf("write %d (done: %v): the app hash of block %d is %x, want %x", write, written, height, got, want[height-1])
				}
			}
			if found, err := Examine(context.Background(), w.genesis, r.store); err != nil || len(found) > 0 {
				t.Fatalf("write %d (done: %v): %v %v", write, written, found, err)
			}
			r.close()
			if !plan.Fired() {
				if write < len(blocks) {
					t.Errorf("only %d writes were tried", write)
				}
				break
			}
		}
	}
}

// TestForeignState refuses a directory that another network began.
func TestForeignState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	r.close()
	r.world = newWorldWith(t, func(doc *genesisv1.Genesis) { doc.Name = "other" })
	if err := r.tryOpen(); !errors.Is(err, ErrForeignState) {
		t.Errorf("opened with another genesis: %v", err)
	}
}

// TestWaiting gets the outcomes to the calls that wait for them, and to nobody else.
func TestWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	raw := w.pay(blockTime(2))
	expires := blockTime(2).Add(2 * time.Minute).UnixNano()
	other := tx.ID{1}
	type answer struct {
		at  TransactionAt
		err error
	}
	wait := func(id tx.ID, expires int64) chan answer {
		out := make(chan answer, 1)
		go func() {
			at, err := r.app.WaitTransaction(t.Context(), id, expires)
			out <- answer{at, err}
		}()
		return out
	}
	committed, expired := wait(w.id(raw), expires), wait(other, expires)
	r.waitWaiting(2)
	r.decide(2, blockTime(2), raw)
	if a := <-committed; a.err != nil || a.at.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED || a.at.Outcome.Height != 2 {
		t.Errorf("the committed one: %v", a)
	}
	select {
	case a := <-expired:
		t.Errorf("the other one got %v too early", a)
	default:
	}
	r.decide(3, blockTime(200))
	if a := <-expired; a.err != nil || a.at.Status != ledgerv1.TxStatus_TX_STATUS_EXPIRED {
		t.Errorf("the expired one: %v", a)
	}
	if a := <-wait(w.id(raw), expires); a.err != nil || a.at.Outcome.GetHeight() != 2 {
		t.Errorf("asked again: %v", a)
	}
}
