package exectest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/statetest"
)

// World is a ledger of one node without consensus.
type World struct {
	State  *statetest.Memory
	Height uint64    // of the newest block
	Time   time.Time // of the newest block
	// Fast leaves out what takes long for operations that read much: failing each of their reads.
	Fast bool

	names map[string]string // bytes that stand for something, to the name that texts show for them
}

// New returns an empty world at height 0, 2026-01-01T00:00:00Z.
func New() *World {
	return &World{
		State: new(statetest.Memory),
		Time:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		names: make(map[string]string),
	}
}

// Name makes texts show name for the given bytes.
func (w *World) Name(b []byte, name string) { w.names[string(b)] = name }

// PrivateKey returns the key of a name, the same in every run: `ed:NAME` is an Ed25519 key, `ec:NAME` an ECDSA key, any
// other a Schnorr key.
func PrivateKey(t testing.TB, name string) keys.PrivateKey {
	t.Helper()
	scheme := keys.SchemeSchnorr
	switch {
	case strings.HasPrefix(name, "ed:"):
		scheme = keys.SchemeEd25519
	case strings.HasPrefix(name, "ec:"):
		scheme = keys.SchemeECDSA
	}
	seed := sha256.Sum256([]byte(name))
	key, err := keys.ParsePrivateKey(scheme, seed[:])
	if err != nil {
		t.Fatalf("key of %s: %v", name, err)
	}
	return key
}

// Key returns the public key of a name, see [PrivateKey]. Texts show the name.
func (w *World) Key(t testing.TB, name string) *keysv1.PublicKey {
	t.Helper()
	public := PrivateKey(t, name).Public()
	w.Name(public.Bytes(), name)
	return &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(public.Scheme()), Key: public.Bytes()}
}

// Vote stands where an account does when the members act together, by a proposal that has passed.
const Vote = "vote"

// Genesis fills the world with accounts, one a line: its name and its roles. The key of an account has the account's name.
// Every org may have power 10 and 4 nodes.
func (w *World) Genesis(t testing.TB, lines string) string {
	t.Helper()
	var orgs []string
	var list []*accountsv1.Account
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		org, _, _ := strings.Cut(fields[0], "/")
		if !slices.Contains(orgs, org) {
			orgs = append(orgs, org)
		}
		list = append(list, &accountsv1.Account{
			Name:      fields[0],
			Keys:      []*accountsv1.WeightedKey{{PublicKey: w.Key(t, fields[0]), Weight: 1}},
			Threshold: 1,
			Roles:     fields[1:],
		})
	}
	allotments := make(map[string]*accountsv1.Allotment, len(orgs))
	for _, org := range orgs {
		allotments[org] = &accountsv1.Allotment{Power: 10, Nodes: 4}
	}
	if err := accounts.Genesis(w.State, orgs, allotments, list); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d accounts of %d orgs", len(list), len(orgs))
}

// Pass lets time pass before the next block.
func (w *World) Pass(d time.Duration) { w.Time = w.Time.Add(d) }

// TxID returns the id that the only transaction of a height has.
func TxID(height uint64) tx.ID { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, height)) }

// Outcome is what came of a transaction.
type Outcome struct {
	Err    error // a rejection, or nil
	Events []*ledgerv1.Event
}

// Next begins a block, a second after the one before.
func (w *World) Next() {
	w.Height++
	w.Pass(time.Second)
}

// Do makes a block of one operation, of an account or of the members by [Vote].
func (w *World) Do(t testing.TB, account string, check error, run func(env *exec.Env, kv exec.KV) error) Outcome {
	t.Helper()
	if check == nil {
		w.Next()
	}
	return w.Also(t, account, check, run)
}

// Also adds an operation to the newest block. The check comes first, as it would, and run sees a write buffer that is
// dropped when it fails. A check that refuses with a result of execution, an execution that rejects with a code of validity,
// and any error that is no rejection, fail the test. So does an operation that turns a failed read into anything but that
// failure: run is called once for each of its reads to see. NO_POSSESSION is both: only the state knows for which org the
// owner of a new key of a node has to sign.
func (w *World) Also(t testing.TB, account string, check error, run func(env *exec.Env, kv exec.KV) error) Outcome {
	t.Helper()
	if check != nil {
		if code, ok := tx.CodeOf(check); !ok || code >= 100 {
			t.Fatalf("a check refuses with %v (%v): it has to be a code below 100", check, code)
		}
		return Outcome{Err: check}
	}
	for n := 0; !w.Fast; n++ {
		reads := &failing{Reader: w.State, left: n}
		_, err := w.run(account, newBuffer(reads), run)
		if !reads.fired {
			break
		}
		if _, verdict := tx.CodeOf(err); verdict || !errors.Is(err, statetest.ErrInjected) {
			t.Fatalf("read %d fails and the operation says %v", n, err)
		}
	}
	kv := newBuffer(w.State)
	events, err := w.run(account, kv, run)
	if err != nil {
		if code, ok := tx.CodeOf(err); !ok || (code < 100 && code != ledgerv1.Code_CODE_NO_POSSESSION) {
			t.Fatalf("an operation fails with %v (%v): it has to be a rejection with a code from 100 on", err, code)
		}
		return Outcome{Err: err}
	}
	if len(events) == 0 {
		t.Fatal("an operation passes without an event")
	}
	kv.flush(w.State)
	return Outcome{Events: events}
}

// run calls an operation in the surroundings of the newest block.
func (w *World) run(account string, kv exec.KV, run func(*exec.Env, exec.KV) error) (events []*ledgerv1.Event, err error) {
	env := &exec.Env{
		FeatureLevel: 1,
		Height:       w.Height,
		Time:         w.Time.UnixNano(),
		TxID:         TxID(w.Height),
		Emit:         func(e *ledgerv1.Event) { events = append(events, e) },
	}
	if account == Vote {
		env.Proposal = w.Height
	} else {
		env.Account = account
		env.Org, _, _ = strings.Cut(account, "/")
	}
	err = run(env, kv)
	return events, err
}

// failing fails one read.
type failing struct {
	exec.Reader
	left  int // reads that succeed before
	fired bool
}

func (f *failing) Get(key []byte) ([]byte, error) {
	if f.left--; f.left == -1 {
		f.fired = true
		return nil, statetest.ErrInjected
	}
	return f.Reader.Get(key)
}

// buffer is the write buffer of a transaction.
type buffer struct {
	base    exec.Reader
	changes map[string][]byte // nil for deleted
}

func newBuffer(base exec.Reader) *buffer {
	return &buffer{base: base, changes: make(map[string][]byte)}
}

func (b *buffer) Get(key []byte) ([]byte, error) {
	if value, ok := b.changes[string(key)]; ok {
		return value, nil
	}
	return b.base.Get(key)
}

func (b *buffer) Set(key, value []byte) { b.changes[string(key)] = slices.Clone(value) }
func (b *buffer) Delete(key []byte)     { b.changes[string(key)] = nil }

func (b *buffer) flush(w exec.Writer) {
	for _, key := range slices.Sorted(maps.Keys(b.changes)) {
		if value := b.changes[key]; value != nil {
			w.Set([]byte(key), value)
		} else {
			w.Delete([]byte(key))
		}
	}
}
