package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/loadgen"
	"github.com/althing-ledger/althing/keys"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Kind is a kind of transaction.
type Kind string

const (
	// Transfer is a payment from one account to another: one operation, one signature.
	Transfer Kind = "transfer"
	// DVP is delivery versus payment: two transfers of two assets and two signatures.
	DVP Kind = "dvp"
	// Record is a version of a record: one operation, one signature.
	Record Kind = "record"
	// Mixed is eight transfers for each delivery versus payment and each record.
	Mixed Kind = "mixed"
)

// Kinds are all kinds.
var Kinds = []Kind{Transfer, DVP, Record, Mixed}

const (
	// MaxAccounts bounds Options.Accounts.
	MaxAccounts = 5_000_000
	// MaxSenders bounds Options.Senders: each has a key of its own in memory.
	MaxSenders = 100_000
	// MaxRecordBytes is the largest content of a record.
	MaxRecordBytes = 64 << 10
	// hotAccounts is how many accounts share what Options.Hot says.
	hotAccounts = 10
	// recordsEach is how many records each sender writes before it writes further versions of them.
	recordsEach = 100
)

// Options say which transactions to make. The zero value of a field is its default.
type Options struct {
	// Kind of transaction. Default transfer.
	Kind Kind
	// Accounts is how many accounts are created and funded, 2 to 5,000,000. Default 10,000.
	Accounts int
	// Senders is how many of them send, each with a key of its own, at most 100,000. Default 2,000, or all if there are fewer. The
	// others share a key: they only receive.
	Senders int
	// Hot is the share of payments that go to ten accounts, 0 to 1. Default 0: recipients are drawn uniformly.
	Hot float64
	// Scheme of the senders' keys. Default schnorr.
	Scheme keys.Scheme
	// RecordBytes is the size of a record's content, up to 64 KiB. Default 256.
	RecordBytes int
	// MemoBytes is the size of the memo that every transaction has, up to 256. Default 0.
	MemoBytes int
}

// ErrOptions is returned for options that make no workload. Its text says what to change.
var ErrOptions = errors.New("invalid workload")

func (o Options) withDefaults() Options {
	if o.Kind == "" {
		o.Kind = Transfer
	}
	if o.Accounts == 0 {
		o.Accounts = 10_000
	}
	if o.Senders == 0 {
		o.Senders = min(2000, o.Accounts)
	}
	if o.Scheme == 0 {
		o.Scheme = keys.SchemeSchnorr
	}
	if o.RecordBytes == 0 {
		o.RecordBytes = 256
	}
	return o
}

// Validate reports all problems at once, as an error that is [ErrOptions].
func (o Options) Validate() error {
	o = o.withDefaults()
	var problems []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	known := false
	for _, k := range Kinds {
		known = known || k == o.Kind
	}
	bad(!known, "there is no kind %.40q: it is transfer, dvp, record or mixed", o.Kind)
	bad(o.Accounts < 2 || o.Accounts > MaxAccounts, "%d accounts, it is 2 to %d", o.Accounts, MaxAccounts)
	bad(o.Senders < 1 || o.Senders > min(o.Accounts, MaxSenders), "%d senders, it is 1 to %d, and no more than accounts", o.Senders, MaxSenders)
	bad(!(o.Hot >= 0 && o.Hot <= 1), "the hot share is %v, it is 0 to 1", o.Hot)
	bad(!o.Scheme.Valid(), "there is no scheme %d", o.Scheme)
	bad(o.RecordBytes < 1 || o.RecordBytes > MaxRecordBytes, "records of %d bytes, it is 1 to %d", o.RecordBytes, MaxRecordBytes)
	bad(o.MemoBytes < 0 || o.MemoBytes > tx.MaxMemo, "a memo of %d bytes, it is 0 to %d", o.MemoBytes, tx.MaxMemo)
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

// Workload makes transactions of accounts that it creates.
type Workload struct {
	Options
	file   *client.Network
	run    string // names what this run creates
	orgs   []string
	admins []keys.PrivateKey // of orgs
	nodes  []int             // of senders
	keys   []keys.PrivateKey // of senders
	rest   keys.PrivateKey   // of all other accounts
	memo   string

	cash, paper string // assets
	written     atomic.Uint64
	made        uint64 // the block after which everything is there that was prepared
}

var _ loadgen.Workload = (*Workload)(nil)

// New returns the workload for a network. Its accounts are divided among the organisations whose key ORG/admin lies in the
// network's directory of keys; there must be one at least. The error is [ErrOptions] or [client.ErrNoKey].
func New(file *client.Network, o Options) (*Workload, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	w := &Workload{Options: o.withDefaults(), file: file, run: fmt.Sprintf("%08x", rand.Uint32()), memo: strings.Repeat("m", o.MemoBytes)}
	if err := w.findAdmins(); err != nil {
		return nil, err
	}
	w.cash, w.paper = w.orgs[0]+"/cash-"+w.run, w.orgs[0]+"/paper-"+w.run
	for i := range w.Senders() {
		key, err := keys.Generate(w.Scheme, nil)
		if err != nil {
			return nil, err
		}
		w.keys, w.nodes = append(w.keys, key), append(w.nodes, w.nodeOf(i))
	}
	var err error
	w.rest, err = keys.Generate(w.Scheme, nil)
	return w, err
}

// findAdmins loads the keys of the organisations that accounts are created in.
func (w *Workload) findAdmins() error {
	seen := map[string]bool{}
	for _, n := range w.file.Nodes {
		if seen[n.Org] {
			continue
		}
		seen[n.Org] = true
		loaded, err := w.file.Keys(n.Org + "/admin")
		if errors.Is(err, client.ErrNoKey) {
			continue
		}
		if err != nil {
			return err
		}
		w.orgs, w.admins = append(w.orgs, n.Org), append(w.admins, loaded[0])
	}
	if len(w.orgs) == 0 {
		return fmt.Errorf("%w of any organisation's admin: accounts are created with the key %s/ORG/admin.json", client.ErrNoKey, w.file.KeysDir)
	}
	return nil
}

// nodeOf returns the node that a sender talks to: one of its organisation, if there is one.
func (w *Workload) nodeOf(sender int) int {
	var own []int
	for i, n := range w.file.Nodes {
		if n.Org == w.orgs[sender%len(w.orgs)] {
			own = append(own, i)
		}
	}
	if len(own) == 0 {
		return sender % len(w.file.Nodes)
	}
	return own[sender/len(w.orgs)%len(own)]
}

// account returns the name of an account, by its number. Senders come first.
func (w *Workload) account(i int) string {
	return fmt.Sprintf("%s/a%s-%d", w.orgs[i%len(w.orgs)], w.run, i)
}

// Describe implements [loadgen.Workload].
func (w *Workload) Describe() string {
	text := fmt.Sprintf("%s, %s, %d accounts", w.Kind, w.Scheme, w.Accounts)
	if w.Hot > 0 {
		text += fmt.Sprintf(", %g of payments to %d of them", w.Hot, hotAccounts)
	}
	if w.Kind == Record || w.Kind == Mixed {
		text += fmt.Sprintf(", records of %d bytes", w.RecordBytes)
	}
	if w.MemoBytes > 0 {
		text += fmt.Sprintf(", memos of %d bytes", w.MemoBytes)
	}
	return text
}

// Senders implements [loadgen.Workload].
func (w *Workload) Senders() int { return w.Options.Senders }

// Sender implements [loadgen.Workload].
func (w *Workload) Sender(i int) loadgen.Sender {
	return loadgen.Sender{Org: w.orgs[i%len(w.orgs)], Node: w.nodes[i]}
}

// Make implements [loadgen.Workload].
func (w *Workload) Make(sender int, expires time.Time) (loadgen.Tx, error) {
	kind := w.Kind
	if kind == Mixed {
		switch rand.IntN(10) {
		case 0:
			kind = DVP
		case 1:
			kind = Record
		default:
			kind = Transfer
		}
	}
	switch kind {
	case DVP:
		other := rand.IntN(w.Senders())
		if other == sender {
			other = (other + 1) % w.Senders()
		}
		return w.sign(expires, []int{sender, other},
			w.pay(sender, w.cash, w.account(other)), w.pay(other, w.paper, w.account(sender)))
	case Record:
		return w.sign(expires, []int{sender}, w.write(sender))
	default:
		return w.sign(expires, []int{sender}, w.pay(sender, w.cash, w.account(w.recipient(sender))))
	}
}

// recipient draws who is paid: never the one who pays.
func (w *Workload) recipient(sender int) int {
	to := rand.IntN(w.Accounts)
	if w.Hot > 0 && rand.Float64() < w.Hot {
		// The last ones, which do not send if there are others.
		to = w.Accounts - 1 - rand.IntN(min(hotAccounts, w.Accounts))
	}
	if to == sender {
		return (to + 1) % w.Accounts
	}
	return to
}

func (w *Workload) pay(from int, asset, to string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: w.account(from), Kind: &ledgerv1.Operation_AssetTransfer{
		AssetTransfer: &assetsv1.Transfer{Asset: asset, To: to, Amount: "1"},
	}}
}

func (w *Workload) write(sender int) *ledgerv1.Operation {
	content := make([]byte, w.RecordBytes)
	for i := 0; i+8 <= len(content); i += 8 {
		binary.LittleEndian.PutUint64(content[i:], rand.Uint64())
	}
	org := w.orgs[sender%len(w.orgs)]
	number := w.written.Add(1) / uint64(w.Senders()) % recordsEach
	return &ledgerv1.Operation{Account: w.account(sender), Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
		Record:      fmt.Sprintf("%s/bench-%s/%d-%d", org, w.run, sender, number),
		ContentType: "application/octet-stream",
		Content:     &recordsv1.Put_Data{Data: content},
	}}}
}

// sign makes a transaction that the senders sign.
func (w *Workload) sign(expires time.Time, senders []int, operations ...*ledgerv1.Operation) (loadgen.Tx, error) {
	nonce := make([]byte, tx.NonceSize)
	binary.LittleEndian.PutUint64(nonce, rand.Uint64())
	binary.LittleEndian.PutUint64(nonce[8:], rand.Uint64())
	body := &ledgerv1.Body{
		ChainId: w.file.ChainID, Nonce: nonce, ExpiresAt: timestamppb.New(expires), Memo: w.memo, Operations: operations,
	}
	envelope, id, err := tx.Unsigned(body)
	if err != nil {
		return loadgen.Tx{}, err
	}
	for _, s := range senders {
		signature, err := w.keys[s].SignUnverified(id)
		if err != nil {
			return loadgen.Tx{}, err
		}
		public := w.keys[s].Public()
		envelope.Signatures = append(envelope.Signatures, &ledgerv1.Signature{
			Account: w.account(s), PublicKey: public.Bytes(), Scheme: keysv1.SignatureScheme(public.Scheme()), Signature: signature,
		})
	}
	raw, err := envelope.MarshalVTStrict()
	if err != nil {
		return loadgen.Tx{}, fmt.Errorf("encode the transaction: %w", err)
	}
	return loadgen.Tx{ID: loadgen.ID(id), Raw: raw}, nil
}
