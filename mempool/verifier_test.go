package mempool

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// singly is what Verify must agree with: decode, then one signature after the other.
func singly(raw []byte, limits tx.Limits) (code tx.Code) {
	t, err := tx.Decode(testChain, raw, limits)
	if err != nil {
		code, _ = tx.CodeOf(err)
		return code
	}
	for _, s := range t.Signatures {
		key, err := keys.ParsePublicKey(keys.Scheme(s.Scheme), s.PublicKey)
		if err == nil {
			err = key.Verify(t.ID, s.Signature)
		}
		switch {
		case errors.Is(err, keys.ErrHighS):
			return ledgerv1.Code_CODE_HIGH_S
		case err != nil:
			return ledgerv1.Code_CODE_WRONG_SIGNATURE
		}
	}
	return ledgerv1.Code_CODE_OK
}

// highS replaces s of an ECDSA signature by the order minus s.
func highS(signature []byte) {
	var s btcec.ModNScalar
	s.SetByteSlice(signature[32:])
	s.Negate()
	b := s.Bytes()
	copy(signature[32:], b[:])
}

// specimens returns transactions of all schemes, most of them good, the others spoilt in every way there is.
func specimens(tb testing.TB, n int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	schemes := []keys.Scheme{keys.SchemeSchnorr, keys.SchemeECDSA, keys.SchemeEd25519}
	expires := time.Now().Add(time.Hour)
	raws := make([][]byte, n)
	for i := range raws {
		scheme := schemes[random.IntN(len(schemes))]
		key := newKey(tb, scheme, strconv.Itoa(random.IntN(5)))
		raw := transfer(tb, "acme", strconv.Itoa(i), expires, key)
		envelope := new(ledgerv1.Tx)
		if err := envelope.UnmarshalVT(raw); err != nil {
			tb.Fatal(err)
		}
		s := envelope.Signatures[0]
		switch random.IntN(16) {
		case 0:
			s.Signature[random.IntN(64)] ^= 1 << random.IntN(8)
		case 1:
			s.PublicKey[random.IntN(len(s.PublicKey))] ^= 1 << random.IntN(8)
		case 2:
			if scheme == keys.SchemeECDSA {
				highS(s.Signature)
			}
		case 3:
			s.Scheme = 9
		case 4:
			s.Signature = s.Signature[:63]
		case 5:
			envelope.Body[len(envelope.Body)-1] ^= 1
		case 6:
			envelope.Signatures = nil
		case 7:
			s.PublicKey = nil
		}
		var err error
		if raws[i], err = envelope.MarshalVTStrict(); err != nil {
			tb.Fatal(err)
		}
		if random.IntN(40) == 0 {
			raws[i] = raws[i][:random.IntN(len(raws[i]))]
		}
	}
	return raws
}

func TestVerifyAgreesWithSingleVerification(t *testing.T) {
	t.Parallel()
	raws := specimens(t, 240)
	want := make([]tx.Code, len(raws))
	for i, raw := range raws {
		want[i] = singly(raw, testLimits)
	}
	v := newVerifier(t, VerifierConfig{Workers: 3})
	seen := map[tx.Code]int{}
	for round := range 2 { // the second one from memory
		for i, verdict := range v.Verify(raws, testLimits) {
			got, rejected := tx.CodeOf(verdict.Err)
			if got != want[i] || !rejected {
				t.Fatalf("round %d, transaction %d: %v, want code %v", round, i, verdict.Err, want[i])
			}
			if got == ledgerv1.Code_CODE_OK && (verdict.Tx == nil || !bytes.Equal(verdict.Tx.Raw, raws[i])) {
				t.Fatalf("transaction %d was accepted and is not what was handed in", i)
			}
			seen[got]++
		}
	}
	for _, code := range []tx.Code{ledgerv1.Code_CODE_OK, ledgerv1.Code_CODE_HIGH_S, ledgerv1.Code_CODE_WRONG_SIGNATURE,
		ledgerv1.Code_CODE_MISSING_SIGNATURE, ledgerv1.Code_CODE_MALFORMED} {
		if seen[code] == 0 {
			t.Errorf("no specimen with %v", code)
		}
	}
	if s := v.Stats(); s.Verified != uint64(len(raws)) || s.Remembered != uint64(len(raws)) {
		t.Errorf("verified %d, remembered %d, want %d each", s.Verified, s.Remembered, len(raws))
	}
}

func TestVerifyOwnsItsBytes(t *testing.T) {
	t.Parallel()
	raw := transfer(t, "acme", "a", time.Now().Add(time.Hour), newKey(t, keys.SchemeSchnorr, "acme"))
	v := newVerifier(t, VerifierConfig{})
	mine := bytes.Clone(raw)
	first := v.Verify([][]byte{mine}, testLimits)[0]
	clear(mine)
	if !bytes.Equal(first.Tx.Raw, raw) {
		t.Fatal("the verdict changed with the caller's slice")
	}
	if again := v.Verify([][]byte{raw}, testLimits)[0]; again.Tx != first.Tx {
		t.Fatal("the verdict was not remembered")
	}
}

func TestVerifyUnderOtherLimits(t *testing.T) {
	t.Parallel()
	raw := transfer(t, "acme", "a", time.Now().Add(time.Hour), newKey(t, keys.SchemeSchnorr, "acme"))
	v := newVerifier(t, VerifierConfig{})
	if err := v.Verify([][]byte{raw}, testLimits)[0].Err; err != nil {
		t.Fatal(err)
	}
	narrow := testLimits
	narrow.Bytes = uint64(len(raw)) - 1
	if err := v.Verify([][]byte{raw}, narrow)[0].Err; !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_TOO_LARGE}) {
		t.Fatalf("under a narrower charter: %v", err)
	}
	if err := v.Verify([][]byte{raw}, testLimits)[0].Err; err != nil {
		t.Fatalf("under the old charter: %v", err)
	}
}

func TestVerifyIncludesValidate(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	v := newVerifier(t, VerifierConfig{Validate: func(t *tx.Tx) error {
		calls.Add(1)
		if t.Body.Memo == "bad" {
			return tx.Reject(ledgerv1.Code_CODE_BAD_AMOUNT, "bad amount")
		}
		return nil
	}})
	key := newKey(t, keys.SchemeEd25519, "acme")
	raws := [][]byte{
		transfer(t, "acme", "good", time.Now().Add(time.Hour), key),
		transfer(t, "acme", "bad", time.Now().Add(time.Hour), key),
	}
	raws = append(raws, raws[1], raws[0]) // twice in one call: once verified
	for range 2 {
		verdicts := v.Verify(raws, testLimits)
		for i, bad := range []bool{false, true, true, false} {
			is := errors.Is(verdicts[i].Err, &tx.Rejection{Code: ledgerv1.Code_CODE_BAD_AMOUNT})
			if is != bad || (verdicts[i].Tx == nil) != bad {
				t.Errorf("verdict %d: %v", i, verdicts[i].Err)
			}
		}
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("Validate was called %d times for two transactions", n)
	}
}

func TestVerifyBoundsItsMemory(t *testing.T) {
	t.Parallel()
	key := newKey(t, keys.SchemeEd25519, "acme")
	var raws [][]byte
	for i := range 200 {
		raws = append(raws, transfer(t, "acme", strconv.Itoa(i), time.Now().Add(time.Hour), key))
	}
	size := Verdict{Tx: decode(t, raws[199])}.size()
	for name, cfg := range map[string]VerifierConfig{
		"count": {CacheEntries: 16, KeyCache: 1, Workers: 1},
		"bytes": {CacheBytes: 16 * size, Workers: 1},
	} {
		v := newVerifier(t, cfg)
		pending := raws[:8]
		var txs []*tx.Tx
		for _, verdict := range v.Verify(pending, testLimits) {
			txs = append(txs, verdict.Tx)
		}
		v.promote(txs, testLimits)
		v.promote(txs, testLimits) // changes nothing
		var garbage [][]byte
		for i := range 100 {
			garbage = append(garbage, []byte("garbage "+strconv.Itoa(i)))
		}
		v.Verify(garbage, testLimits)
		v.Verify(raws[8:], testLimits) // signed, but never pending
		s := v.Stats()
		if s.Entries > 16 || s.Bytes > 16*size || s.Entries < 8+2 {
			t.Errorf("bound by %s: %d entries, %d bytes", name, s.Entries, s.Bytes)
		}
		v.Verify(pending, testLimits)
		if after := v.Stats().Remembered; after-s.Remembered != 8 {
			t.Errorf("bound by %s: others displaced the verdicts on what is pending: %d of 8 remembered", name, after-s.Remembered)
		}
	}
}

// TestVerdictHasTxOrError: what depends on a verdict must not depend on whether it was remembered.
func TestVerdictHasTxOrError(t *testing.T) {
	t.Parallel()
	raws := specimens(t, 160)
	v := newVerifier(t, VerifierConfig{})
	for _, round := range []string{"fresh", "remembered"} {
		for i, verdict := range v.Verify(raws, testLimits) {
			if (verdict.Tx == nil) != (verdict.Err != nil) {
				t.Errorf("%s, transaction %d: %v, %v", round, i, verdict.Tx, verdict.Err)
			}
		}
	}
}

// TestVerifySharesWhatIsUnderWay has many goroutines verify overlapping sets at once: every transaction is verified once.
func TestVerifySharesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	raws := specimens(t, 160)
	want := map[string]tx.Code{}
	for _, raw := range raws {
		want[string(raw)] = singly(raw, testLimits)
	}
	v := newVerifier(t, VerifierConfig{Workers: 2})
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			mine := append(append([][]byte{}, raws[g*20:]...), raws[:g*20]...)
			for i, verdict := range v.Verify(mine, testLimits) {
				if code, _ := tx.CodeOf(verdict.Err); code != want[string(mine[i])] {
					t.Errorf("goroutine %d, transaction %d: %v", g, i, verdict.Err)
				}
			}
		})
	}
	group.Wait()
	if s := v.Stats(); s.Verified != uint64(len(raws)) {
		t.Errorf("%d verifications of %d transactions", s.Verified, len(raws))
	}
}

// TestVerifyPanics: a panic reaches the caller who verifies, and leaves nobody waiting.
func TestVerifyPanics(t *testing.T) {
	t.Parallel()
	var poison atomic.Bool
	entered, proceed := make(chan struct{}), make(chan struct{})
	v := newVerifier(t, VerifierConfig{Workers: 2, Validate: func(t *tx.Tx) error {
		if t.Body.Memo == "7" && poison.CompareAndSwap(false, true) {
			close(entered)
			<-proceed
			panic("poison")
		}
		return nil
	}})
	key := newKey(t, keys.SchemeEd25519, "acme")
	var raws [][]byte
	for i := range 3 * chunkMin {
		raws = append(raws, transfer(t, "acme", strconv.Itoa(i), time.Now().Add(time.Hour), key))
	}
	panicked := make(chan any)
	go func() {
		defer func() { panicked <- recover() }()
		v.Verify(raws, testLimits)
	}()
	<-entered
	waiting := make(chan Verdict)
	go func() { waiting <- v.Verify(raws[7:8], testLimits)[0] }()
	close(proceed)
	if p := <-panicked; p == nil {
		t.Error("the panic was swallowed")
	}
	if verdict := <-waiting; verdict.Err != nil {
		t.Errorf("whoever waited got %v", verdict.Err)
	}
}

func TestVerifierConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []VerifierConfig{{}, {ChainID: "x", Workers: -1}, {ChainID: "x", CacheEntries: -1}, {ChainID: "x", CacheBytes: 1}, {ChainID: "x", KeyTables: -1}} {
		if _, err := NewVerifier(cfg); !errors.Is(err, ErrInvalidConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
