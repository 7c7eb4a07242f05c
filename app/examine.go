package app

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/membership"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Findings is what [Examine] found wrong in the newest state. Nothing is the right amount.
type Findings []string

func (f *Findings) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// Examine checks what the modules promise of the newest state: that it began with the genesis document, that supplies are
// the sums of balances and holds, that orgs, nodes, keys and seats agree with one another, and that the ids that must not be repeated are those the tree vouches for. An error means
// that the examination could not be made.
func Examine(ctx context.Context, g Genesis, store *state.Store) (Findings, error) {
	var found Findings
	view := store.Latest()
	defer view.Release()
	if view.Height() == 0 {
		return nil, nil
	}
	origin, err := view.Get(originKey())
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(origin, g.Hash[:]) {
		found.add("the state began with genesis %x, the genesis document has %x", origin, g.Hash)
	}
	supplies, err := assets.CheckSupply(view, &assetsv1.CheckSupplyRequest{})
	if err != nil {
		return nil, err
	}
	for _, s := range supplies.Assets {
		if !s.Ok {
			found.add("asset %s: the supply is %s, balances add up to %s and holds to %s", s.Asset, s.Supply, s.Balances, s.Holds)
		}
	}
	members, err := accounts.Examine(view)
	if err != nil {
		return nil, err
	}
	nodes, err := membership.Examine(view, view.Height())
	if err != nil {
		return nil, err
	}
	found = append(append(found, members...), nodes...)
	return found, found.examineIDs(ctx, view)
}

// examineIDs compares the index of transactions with the digests in the tree.
func (f *Findings) examineIDs(ctx context.Context, view *state.View) error {
	start, end := keyspace.PrefixRange(keyspace.Key(keyspace.PrefixBlockIDs))
	return view.Scan(start, end, func(key, leaf []byte) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		height := binary.BigEndian.Uint64(key[9:])
		ids, err := indexedIDs(view, height)
		if err != nil {
			return false, err
		}
		if _, want := idsLeaf(ids); !bytes.Equal(leaf, want) {
			f.add("block %d: the index of its %d transactions is not the one in the tree", height, len(ids))
		}
		return true, nil
	})
}

// indexedIDs returns what the index remembers of a block, in its order.
func indexedIDs(view *state.View, height uint64) ([]remembered, error) {
	var ids []remembered
	start, end := keyspace.PrefixRange(keyspace.Uint64(keyspace.Key(keyspace.LocalBlockResults), height))
	err := view.ScanLocal(start, end, false, func(_, page []byte) (bool, error) {
		return true, eachOutcome(page, func(encoded []byte) (bool, error) {
			o, err := decodeOutcome(encoded)
			if err != nil || len(o.Id) != len(tx.ID{}) {
				return true, err
			}
			e, err := findEntry(view, tx.ID(o.Id))
			if err == nil && e != nil && e.height == height && e.index == o.Index {
				ids = append(ids, remembered{tx.ID(o.Id), e.expiresAt})
			}
			return true, err
		})
	})
	return ids, err
}
