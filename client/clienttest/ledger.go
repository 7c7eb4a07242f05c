package clienttest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// limits are those of the default charter.
var limits = tx.Limits{Bytes: 256 << 10, Operations: 100, Signatures: 64}

// Ledger is the state that all nodes of a test share, and the blocks that led to it.
type Ledger struct {
	ChainID     string
	GenesisHash [32]byte

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever anything below changes
	state   *state
	blocks  []*ledgerv1.Block
	known   map[tx.ID]*ledgerv1.TxOutcome
	pending []*tx.Tx
	paused  bool
}

func newLedger(name string) *Ledger {
	l := &Ledger{
		GenesisHash: sha256.Sum256([]byte(name)),
		changed:     make(chan struct{}),
		state:       newState(),
		known:       map[tx.ID]*ledgerv1.TxOutcome{},
	}
	l.ChainID = fmt.Sprintf("%s-%x", name, l.GenesisHash[:4])
	l.addBlock(time.Now(), nil, nil)
	return l
}

// Height returns the height of the newest block.
func (l *Ledger) Height() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.blocks))
}

// Committed returns how many transactions stand in blocks.
func (l *Ledger) Committed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.known)
}

// Pause keeps accepted transactions pending until Resume.
func (l *Ledger) Pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
}

// Resume commits what is pending, each transaction in a block of its own, and ends a Pause.
func (l *Ledger) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = false
	for _, t := range l.pending {
		l.commit(t)
	}
	l.pending = nil
	l.wake()
}

// EmptyBlock adds a block without transactions.
func (l *Ledger) EmptyBlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addBlock(time.Now(), nil, nil)
	l.wake()
}

func (l *Ledger) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// submit accepts or refuses a transaction. Errors are rejections.
func (l *Ledger) submit(raw []byte) (tx.ID, error) {
	t, err := tx.Decode(l.ChainID, raw, limits)
	if err != nil {
		return tx.ID{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[t.ID] != nil || l.isPending(t.ID) {
		return t.ID, nil
	}
	if time.Now().UnixNano() >= t.ExpiresAt {
		return t.ID, tx.Reject(ledgerv1.Code_CODE_EXPIRED, "the transaction expired: sign it again")
	}
	if err := l.state.authorise(t); err != nil {
		return t.ID, err
	}
	if l.paused {
		l.pending = append(l.pending, t)
	} else {
		l.commit(t)
	}
	l.wake()
	return t.ID, nil
}

func (l *Ledger) isPending(id tx.ID) bool {
	return slices.ContainsFunc(l.pending, func(t *tx.Tx) bool { return t.ID == id })
}

// commit puts a transaction into a block of its own. The caller holds the lock.
func (l *Ledger) commit(t *tx.Tx) {
	now := time.Now()
	next := l.state.clone()
	next.height, next.now, next.id = uint64(len(l.blocks)+1), now, t.ID
	outcome := &ledgerv1.TxOutcome{Id: t.ID[:], Height: next.height, FailedOperation: -1, TimeUnixNano: now.UnixNano()}
	list := new(ledgerv1.EventList)
	for i, op := range t.Body.Operations {
		event, err := next.apply(i, op)
		if code, _ := tx.CodeOf(err); err != nil {
			outcome.Code, outcome.Message, outcome.FailedOperation = code, err.Error(), int32(i)
			break
		}
		event.Operation = uint32(i)
		list.Events = append(list.Events, event)
	}
	if outcome.Code == ledgerv1.Code_CODE_OK {
		outcome.Events, _ = list.MarshalVTStrict()
		l.state = next
	}
	l.known[t.ID] = outcome
	l.addBlock(now, t.Raw, outcome)
}

func (l *Ledger) addBlock(now time.Time, raw []byte, outcome *ledgerv1.TxOutcome) {
	block := &ledgerv1.Block{Height: uint64(len(l.blocks) + 1), Time: timestamppb.New(now), Proposer: "acme-1"}
	block.Hash = l.digest("block", block.Height)
	block.AppHash = l.digest("app", block.Height)
	if outcome != nil {
		block.Txs, block.Outcomes, block.TxCount = [][]byte{raw}, []*ledgerv1.TxOutcome{outcome}, 1
	}
	l.blocks = append(l.blocks, block)
}

func (l *Ledger) digest(what string, height uint64) []byte {
	h := keys.TaggedHash("clienttest/"+what, l.GenesisHash[:], binary.BigEndian.AppendUint64(nil, height))
	return h[:]
}

// statusOf tells what is known of a transaction and returns a channel that is closed when that may have changed.
func (l *Ledger) statusOf(id tx.ID, expiresAt *timestamppb.Timestamp) (ledgerv1.TxStatus, *ledgerv1.TxOutcome, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	outcome := l.known[id]
	switch {
	case outcome != nil && outcome.Code == ledgerv1.Code_CODE_OK:
		return ledgerv1.TxStatus_TX_STATUS_COMMITTED, outcome, l.changed
	case outcome != nil:
		return ledgerv1.TxStatus_TX_STATUS_REJECTED, outcome, l.changed
	case l.isPending(id):
		return ledgerv1.TxStatus_TX_STATUS_PENDING, nil, l.changed
	case expiresAt != nil && expiresAt.AsTime().Before(time.Now()):
		return ledgerv1.TxStatus_TX_STATUS_EXPIRED, nil, l.changed
	default:
		return ledgerv1.TxStatus_TX_STATUS_UNKNOWN, nil, l.changed
	}
}

// block returns a block, or nil and a channel that is closed when there may be one.
func (l *Ledger) block(height uint64) (*ledgerv1.Block, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if height == 0 {
		height = uint64(len(l.blocks))
	}
	if height > uint64(len(l.blocks)) {
		return nil, l.changed
	}
	return l.blocks[height-1], l.changed
}

// at returns the newest state, which is never changed after, and its height.
func (l *Ledger) at() (*state, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, uint64(len(l.blocks))
}

// addAccount lists an account as a genesis would.
func (l *Ledger) addAccount(name string, roles []string, key keys.PublicKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.accounts[name] = &accountsv1.Account{
		Name: name, Threshold: 1, Roles: roles, Keys: []*accountsv1.WeightedKey{{PublicKey: wireKey(key), Weight: 1}},
	}
}
