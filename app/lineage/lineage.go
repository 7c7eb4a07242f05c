package lineage

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/althing-ledger/althing/app/follow"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

const (
	// Name is the name of the follower's cursor.
	Name = "lineage"
	// Lag is how far the follower stays behind: the commit that a block is signed with stands in the next one.
	Lag = 1
)

// Follower writes the links. ChangeAt returns the link of a block, nil where the next block has the same validators.
type Follower struct {
	ChangeAt func(ctx context.Context, height uint64) (*proofv1.Link, error)
}

// Name implements [follow.Follower].
func (f *Follower) Name() string { return Name }

// Follow implements [follow.Follower].
func (f *Follower) Follow(ctx context.Context, height uint64) ([]state.LocalWrite, error) {
	link, err := f.ChangeAt(ctx, height)
	if err != nil || link == nil {
		return nil, err
	}
	encoded, err := link.MarshalVTStrict()
	if err != nil {
		return nil, fmt.Errorf("encode a change of the validators: %w", err)
	}
	return []state.LocalWrite{{Key: linkKey(height), Value: encoded}}, nil
}

var _ follow.Follower = (*Follower)(nil)

func linkKey(height uint64) []byte {
	return keyspace.Uint64(keyspace.Key(keyspace.LocalLineage), height)
}

// Page is a part of the lineage.
type Page struct {
	// Links are in ascending order of height.
	Links []*proofv1.Link
	// Height says how far the page goes: there is no further link whose header has this height or a lower one.
	Height uint64
}

// Read returns the links whose headers have the height from or a higher one: at most as many as most, and no more bytes than
// size unless it is a single link. The view is one of the newest height.
func Read(v *state.View, from uint64, most, size int) (Page, error) {
	page := Page{}
	var err error
	if page.Height, err = follow.Cursor(v, Name); err != nil {
		return Page{}, err
	}
	_, end := keyspace.PrefixRange(keyspace.Key(keyspace.LocalLineage))
	err = v.ScanLocal(linkKey(from), end, false, func(key, value []byte) (bool, error) {
		height := binary.BigEndian.Uint64(key[1:])
		if size -= len(value); len(page.Links) > 0 && (size < 0 || len(page.Links) >= most) {
			page.Height = height - 1
			return false, nil
		}
		link := new(proofv1.Link)
		if err := link.UnmarshalVT(value); err != nil {
			return false, fmt.Errorf("decode the change of the validators at height %d: %w", height, err)
		}
		page.Links = append(page.Links, link)
		return true, nil
	})
	return page, err
}
