package app

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// What is kept beside the tree, in the same batch as the block:
//
//	LocalTransactions id            where a transaction stands and when it expires
//	LocalBlockResults height page   the outcomes of a block, pageSize at a time
//	LocalSummaries    height        how many, and when the last of them expires
//	LocalHorizon                    the newest height whose entries have been dropped
const (
	localFormat = 1
	pageSize    = 64
	entrySize   = 25
	summarySize = 13
	// dropPerBlock is the most heights whose entries one block drops.
	dropPerBlock = 2
)

// entry is a line of the index of transactions.
type entry struct {
	height    uint64
	index     uint32
	code      ledgerv1.Code
	expiresAt int64
}

func entryKey(id tx.ID) []byte { return append(keyspace.Key(keyspace.LocalTransactions), id[:]...) }

func (e entry) encode() []byte {
	b := append(make([]byte, 0, entrySize), localFormat)
	b = binary.BigEndian.AppendUint64(b, e.height)
	b = binary.BigEndian.AppendUint32(b, e.index)
	b = binary.BigEndian.AppendUint32(b, uint32(e.code))
	return binary.BigEndian.AppendUint64(b, uint64(e.expiresAt))
}

// findEntry returns nil when no kept block of the view holds the transaction.
func findEntry(view *state.View, id tx.ID) (*entry, error) {
	b, err := view.Local(entryKey(id))
	if err != nil || b == nil {
		return nil, err
	}
	if len(b) != entrySize || b[0] != localFormat {
		return nil, fmt.Errorf("read the index entry of transaction %s: unknown format", id)
	}
	return &entry{
		height:    binary.BigEndian.Uint64(b[1:]),
		index:     binary.BigEndian.Uint32(b[9:]),
		code:      ledgerv1.Code(binary.BigEndian.Uint32(b[13:])),
		expiresAt: int64(binary.BigEndian.Uint64(b[17:])),
	}, nil
}

func pageKey(height uint64, page uint32) []byte {
	return binary.BigEndian.AppendUint32(keyspace.Uint64(keyspace.Key(keyspace.LocalBlockResults), height), page)
}

func encodePage(outcomes []outcome) ([]byte, error) {
	size := 1
	for _, o := range outcomes {
		size += protowire.SizeBytes(o.SizeVT())
	}
	page := append(make([]byte, 0, size), localFormat)
	for _, o := range outcomes {
		n := o.SizeVT()
		page = binary.AppendUvarint(page, uint64(n))
		page = page[:len(page)+n]
		if _, err := o.MarshalToSizedBufferVTStrict(page[len(page)-n:]); err != nil {
			return nil, fmt.Errorf("encode the outcome of transaction %x: %w", o.Id, err)
		}
	}
	return page, nil
}

var errPage = errors.New("a page of outcomes is damaged")

// eachOutcome calls fn with the encoded outcomes of a page, in order, until it returns false.
func eachOutcome(page []byte, fn func(encoded []byte) (more bool, err error)) error {
	if len(page) == 0 || page[0] != localFormat {
		return errPage
	}
	for rest := page[1:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return errPage
		}
		more, err := fn(rest[n : n+int(size)])
		if err != nil || !more {
			return err
		}
		rest = rest[n+int(size):]
	}
	return nil
}

func decodeOutcome(encoded []byte) (*ledgerv1.TxOutcome, error) {
	o := new(ledgerv1.TxOutcome)
	if err := o.UnmarshalVT(encoded); err != nil {
		return nil, fmt.Errorf("decode an outcome: %w", err)
	}
	return o, nil
}

// findOutcome reads the outcome that an entry points to.
func findOutcome(view *state.View, e *entry) (*ledgerv1.TxOutcome, error) {
	page, err := view.Local(pageKey(e.height, e.index/pageSize))
	if err != nil {
		return nil, err
	}
	var found *ledgerv1.TxOutcome
	position := uint32(0)
	err = eachOutcome(page, func(encoded []byte) (bool, error) {
		if position != e.index%pageSize {
			position++
			return true, nil
		}
		found, err = decodeOutcome(encoded)
		return false, err
	})
	if err == nil && found == nil {
		err = errPage
	}
	if err != nil {
		return nil, fmt.Errorf("read outcome %d of block %d: %w", e.index, e.height, err)
	}
	return found, nil
}

func summaryKey(height uint64) []byte {
	return keyspace.Uint64(keyspace.Key(keyspace.LocalSummaries), height)
}

func encodeSummary(count uint32, lastExpiry int64) []byte {
	b := append(make([]byte, 0, summarySize), localFormat)
	b = binary.BigEndian.AppendUint32(b, count)
	return binary.BigEndian.AppendUint64(b, uint64(lastExpiry))
}

func decodeSummary(b []byte) (count uint32, lastExpiry int64, err error) {
	if len(b) != summarySize || b[0] != localFormat {
		return 0, 0, errors.New("read the summary of a block: unknown format")
	}
	return binary.BigEndian.Uint32(b[1:]), int64(binary.BigEndian.Uint64(b[5:])), nil
}

func horizonKey() []byte { return keyspace.Key(keyspace.LocalHorizon) }

// localWrites is what the block leaves beside the tree.
func (b *block) localWrites(outcomes []outcome) ([]state.LocalWrite, error) {
	if len(outcomes) == 0 {
		return nil, nil
	}
	writes := make([]state.LocalWrite, 0, len(outcomes)+len(outcomes)/pageSize+2)
	last := int64(0)
	for i, o := range outcomes {
		if !o.admitted {
			continue
		}
		e := entry{height: b.height, index: uint32(i), code: o.Code, expiresAt: o.expiresAt}
		writes = append(writes, state.LocalWrite{Key: entryKey(tx.ID(o.Id)), Value: e.encode()})
		last = max(last, o.expiresAt)
	}
	for first := 0; first < len(outcomes); first += pageSize {
		page, err := encodePage(outcomes[first:min(first+pageSize, len(outcomes))])
		if err != nil {
			return nil, err
		}
		writes = append(writes, state.LocalWrite{Key: pageKey(b.height, uint32(first/pageSize)), Value: page})
	}
	writes = append(writes, state.LocalWrite{Key: summaryKey(b.height), Value: encodeSummary(uint32(len(outcomes)), last)})
	return b.dropOld(writes)
}

// needed returns a height from which on something is kept, or the lower one that something beside consensus still needs.
func (a *App) needed(kept uint64) uint64 {
	if needed := a.retain(); needed != 0 && needed < kept {
		return needed
	}
	return kept
}

// dropOld adds the removal of what is kept of the oldest blocks, once their state is pruned, nothing beside consensus needs
// them, and all of their transactions have expired: until then the index is what refuses a repetition.
func (b *block) dropOld(writes []state.LocalWrite) ([]state.LocalWrite, error) {
	dropped, horizon := 0, uint64(0)
	_, lastExpiry, err := readHorizon(b.view)
	if err != nil {
		return nil, err
	}
	start, end := keyspace.PrefixRange(keyspace.Key(keyspace.LocalSummaries))
	err = b.view.ScanLocal(start, end, false, func(key, value []byte) (bool, error) {
		height := binary.BigEndian.Uint64(key[1:])
		count, last, err := decodeSummary(value)
		if err != nil || dropped == dropPerBlock || height >= b.oldest || last > b.time {
			return false, err
		}
		dropped++
		horizon, lastExpiry = height, max(lastExpiry, last)
		for page := uint32(0); page*pageSize < count; page++ {
			if writes, err = b.dropPage(writes, height, page); err != nil {
				return false, err
			}
		}
		writes = append(writes, state.LocalWrite{Key: append([]byte(nil), key...)})
		return true, nil
	})
	if err != nil || dropped == 0 {
		return writes, err
	}
	return append(writes, state.LocalWrite{Key: horizonKey(), Value: encodeHorizon(horizon, lastExpiry)}), nil
}

func (b *block) dropPage(writes []state.LocalWrite, height uint64, page uint32) ([]state.LocalWrite, error) {
	key := pageKey(height, page)
	value, err := b.view.Local(key)
	if err != nil {
		return nil, err
	}
	err = eachOutcome(value, func(encoded []byte) (bool, error) {
		o, err := decodeOutcome(encoded)
		if err != nil {
			return false, err
		}
		if len(o.Id) != len(tx.ID{}) {
			return true, nil
		}
		e, err := findEntry(b.view, tx.ID(o.Id))
		if err == nil && e != nil && e.height == height {
			writes = append(writes, state.LocalWrite{Key: entryKey(tx.ID(o.Id))})
		}
		return true, err
	})
	if err != nil {
		return nil, fmt.Errorf("drop the outcomes of block %d: %w", height, err)
	}
	return append(writes, state.LocalWrite{Key: key}), nil
}

// The horizon is the newest dropped height and the last expiry among all that was dropped: a transaction that expired
// later than that has its entry, if it was ever committed.
func encodeHorizon(height uint64, lastExpiry int64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{localFormat}, height)
	return binary.BigEndian.AppendUint64(b, uint64(lastExpiry))
}

func readHorizon(view *state.View) (height uint64, lastExpiry int64, err error) {
	b, err := view.Local(horizonKey())
	if err != nil || b == nil {
		return 0, 0, err
	}
	if len(b) != 17 || b[0] != localFormat {
		return 0, 0, errors.New("read the horizon of the index: unknown format")
	}
	return binary.BigEndian.Uint64(b[1:]), int64(binary.BigEndian.Uint64(b[9:])), nil
}
