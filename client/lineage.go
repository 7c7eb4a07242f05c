package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/althing-ledger/althing/client/verify"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// maxLineagePages bounds what one node may answer when it is asked for the lineage: ten million changes of validators.
const maxLineagePages = 10_000

// lineage is who may sign, as far as this client has learnt it, and the proof of that. All nodes add to one: what a set of
// validators has signed is the same, whoever passes it on.
type lineage struct {
	trust *verify.Trust

	// turn holds one token: who has it asks a node for more, and the others wait for what it learns.
	turn chan struct{}

	mu    sync.RWMutex    // guards what follows
	proof proofv1.Lineage // what trust has learnt from; what is in it is never changed, only added to
	ends  []uint64        // the height of the header of each link
}

func newLineage(chainID string, genesis [32]byte) *lineage {
	return &lineage{trust: verify.NewTrust(chainID, genesis), turn: make(chan struct{}, 1)}
}

// upTo returns the lineage with every change whose header has at most a height.
func (l *lineage) upTo(height uint64) *proofv1.Lineage {
	l.mu.RLock()
	defer l.mu.RUnlock()
	count, found := slices.BinarySearch(l.ends, height)
	if found {
		count++
	}
	return &proofv1.Lineage{Genesis: l.proof.Genesis, Links: l.proof.Links[:count:count]}
}

// has reports whether the header of a height is known to change the validators.
func (l *lineage) has(height uint64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, found := slices.BinarySearch(l.ends, height)
	return found
}

// check runs do, which is to use what is known of the validators. Where that is not enough, it asks the node for more and runs
// do again: a node that shows a header can show who may sign it.
func (l *lineage) check(ctx context.Context, p *pool, n *node, do func(*verify.Trust) error) error {
	var unknown *verify.UnknownValidatorsError
	err := do(l.trust)
	if !errors.As(err, &unknown) {
		return err
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// Whoever had the turn before may have learnt enough.
	if err = do(l.trust); !errors.As(err, &unknown) {
		return err
	}
	if err := l.learn(ctx, p, n, unknown.Height); err != nil {
		return err
	}
	return do(l.trust)
}

// learn asks a node for every change of validators that is not known yet. Links are signed by the set before, so a node can
// invent none; that it has left none out shows in its newest header, which the last set must have signed. The caller has the
// turn.
func (l *lineage) learn(ctx context.Context, p *pool, n *node, height uint64) error {
	const method = ledgerv1.LedgerService_GetLineage_FullMethodName
	var from uint64
	for range maxLineagePages {
		known := l.trust.Known()
		if known > 0 {
			from = max(from, known+1)
		}
		asked := &ledgerv1.GetLineageRequest{FromHeight: from, Genesis: known == 0}
		answer, err := ledgerv1.NewLedgerServiceClient(n.conn).GetLineage(ctx, asked, n.asReader...)
		if err != nil {
			return err
		}
		discardUnknown(answer.ProtoReflect())
		if answer.Lineage == nil || answer.Newest == nil {
			return p.blame(n, method, "an answer without a lineage or without the newest header", nil)
		}
		if err := l.extend(answer.Lineage); err != nil {
			return p.blame(n, method, "a lineage that the validators have not signed", err)
		}
		newest, err := l.trust.Header(answer.Newest)
		var unknown *verify.UnknownValidatorsError
		switch {
		case err == nil && newest.Height < height:
			return p.blame(n, method, fmt.Sprintf("a lineage up to height %d, after it has shown header %d", newest.Height, height), nil)
		case err == nil:
			return nil
		case !errors.As(err, &unknown):
			return p.blame(n, method, "a newest header that the validators have not signed", err)
		case answer.Height < max(from, 1):
			return p.blame(n, method, "a lineage that leaves out who signs its newest header", err)
		}
		from = answer.Height + 1
	}
	return p.blame(n, method, "a lineage without an end", nil)
}

// extend learns from a part of a lineage, and keeps what is new in it for receipts.
func (l *lineage) extend(part *proofv1.Lineage) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.trust.Extend(part); err != nil {
		return err
	}
	if len(l.proof.Genesis) == 0 {
		l.proof.Genesis = part.Genesis
	}
	for _, link := range part.Links {
		height := headerHeight(link.Signed.Header)
		if len(l.ends) == 0 || height > l.ends[len(l.ends)-1] {
			l.proof.Links, l.ends = append(l.proof.Links, link), append(l.ends, height)
		}
	}
	return nil
}

// checkAnswer checks the answer to a question for the lineage that a caller has asked by itself.
func (l *lineage) checkAnswer(ctx context.Context, p *pool, n *node, q *question, answer *ledgerv1.GetLineageResponse) error {
	asked := q.request.(*ledgerv1.GetLineageRequest)
	if answer.Lineage == nil || answer.Newest == nil {
		return p.blame(n, q.method, "an answer without a lineage or without the newest header", nil)
	}
	if asked.Genesis != (len(answer.Lineage.Genesis) > 0) {
		return p.blame(n, q.method, "a genesis document where none was asked for, or none where one was", nil)
	}
	var newest *verify.Header
	err := l.check(ctx, p, n, func(t *verify.Trust) (err error) {
		newest, err = t.Header(answer.Newest)
		return err
	})
	if err != nil {
		return p.judged(ctx, n, q.method, "a newest header that the validators have not signed", err)
	}
	// All changes up to the newest header are known now: the answer may hold no other, and leave none out.
	if err := l.trust.Extend(answer.Lineage); err != nil {
		return p.blame(n, q.method, "a lineage that the validators have not signed", err)
	}
	l.mu.RLock()
	first, _ := slices.BinarySearch(l.ends, asked.FromHeight)
	last, _ := slices.BinarySearch(l.ends, newest.Height+1)
	known := l.ends[first:max(first, last)]
	l.mu.RUnlock()
	complete := newest.Height
	for i, link := range answer.Lineage.Links {
		if i == len(known) || headerHeight(link.Signed.Header) != known[i] {
			return p.blame(n, q.method, "a lineage that leaves out a change of validators", nil)
		}
	}
	if count := len(answer.Lineage.Links); count < len(known) {
		complete = known[count] - 1
	}
	if answer.Height > complete {
		return p.blame(n, q.method, fmt.Sprintf("that its lineage is complete up to height %d, which it is not", answer.Height), nil)
	}
	q.height = newest.Height
	return nil
}

// headerHeight returns the height in a tendermint.types.Header that is verified, 0 for what is none.
func headerHeight(header []byte) uint64 {
	const heightField = 3
	for len(header) > 0 {
		number, kind, n := protowire.ConsumeTag(header)
		if n < 0 {
			return 0
		}
		header = header[n:]
		if number == heightField && kind == protowire.VarintType {
			height, _ := protowire.ConsumeVarint(header)
			return height
		}
		if n = protowire.ConsumeFieldValue(number, kind, header); n < 0 {
			return 0
		}
		header = header[n:]
	}
	return 0
}
