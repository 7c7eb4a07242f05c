package network

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/loadgen"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Target is a network of this program. Close it when done.
type Target struct {
	file  *client.Network
	nodes []loadgen.Node
	all   *client.Client   // asks whichever node answers
	each  []*client.Client // asks one node, in the order of the file
	from  atomic.Int32     // the node whose blocks are read: one that answered when it was last looked for
}

var _ loadgen.Target = (*Target)(nil)

// Dial returns the target for a network. processes says by the name of a node how to look at its process; nodes that it does not
// name are not looked at. token says as whom to read, nil for without a token. It connects to nothing yet.
func Dial(file *client.Network, token *client.TokenSource, processes map[string]loadgen.Process) (*Target, error) {
	t := &Target{file: file}
	// The blocks are compared with what nodes acknowledged, and the app hashes with each other: nothing is believed for having
	// been answered, and proofs of every answer would be a load of their own.
	config := client.Config{Token: token, Unverified: true}
	var err error
	if t.all, err = client.Dial(file, config); err != nil {
		return nil, err
	}
	for _, n := range file.Nodes {
		config.Node = n.Name
		c, err := client.Dial(file, config)
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		t.each = append(t.each, c)
		t.nodes = append(t.nodes, loadgen.Node{Name: n.Name, Org: n.Org, Process: processes[n.Name]})
	}
	return t, nil
}

// Close closes all connections.
func (t *Target) Close() error {
	errs := []error{t.all.Close()}
	for _, c := range t.each {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Nodes implements [loadgen.Target].
func (t *Target) Nodes() []loadgen.Node { return t.nodes }

// Height implements [loadgen.Target].
func (t *Target) Height(ctx context.Context) (uint64, error) {
	for i, n := range slices.Backward(t.all.Statuses(ctx)) {
		// Not the first one, which a client that names none talks to.
		if n.Err == nil {
			t.from.Store(int32(i))
			return n.Status.Height, nil
		}
	}
	return 0, errNobody
}

// errNobody is returned when no node can be asked.
var errNobody = errors.New("no node answers")

// Blocks implements [loadgen.Target].
func (t *Target) Blocks(ctx context.Context, from, to uint64) iter.Seq2[loadgen.Block, error] {
	return func(yield func(loadgen.Block, error) bool) {
		for height := from; height <= to; height++ {
			b, err := t.block(ctx, height)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

func (t *Target) block(ctx context.Context, height uint64) (loadgen.Block, error) {
	from := t.from.Load()
	got, err := t.each[from].Block(ctx, height)
	for i := 1; i < len(t.each) && errors.Is(err, client.ErrUnreachable) && ctx.Err() == nil; i++ {
		from = (from + 1) % int32(len(t.each))
		if got, err = t.each[from].Block(ctx, height); err == nil {
			t.from.Store(from)
		}
	}
	if err != nil {
		return loadgen.Block{}, err
	}
	if len(got.Txs) != len(got.Outcomes) {
		return loadgen.Block{}, fmt.Errorf("block %d has %d transactions and %d outcomes", height, len(got.Txs), len(got.Outcomes))
	}
	b := loadgen.Block{Height: height, Time: got.Time.AsTime(), Txs: make([]loadgen.BlockTx, len(got.Txs))}
	envelope := new(ledgerv1.Tx)
	for i, raw := range got.Txs {
		envelope.Reset()
		if err := envelope.UnmarshalVT(raw); err != nil {
			return loadgen.Block{}, fmt.Errorf("transaction %d of block %d: %w", i, height, err)
		}
		b.Txs[i] = loadgen.BlockTx{ID: loadgen.ID(tx.IDOf(t.file.ChainID, envelope.Body)), Code: uint32(got.Outcomes[i].Code)}
		b.Bytes += int64(len(raw))
	}
	return b, nil
}

const (
	// agreePause is how often nodes are asked whether they have a block.
	agreePause = 50 * time.Millisecond
	// backIn is how long a node that does not answer has to come back before the others are compared without it.
	backIn = 5 * time.Second
)

// AppHashes implements [loadgen.Target]. It waits for nodes that are behind until half of the context's time is over.
func (t *Target) AppHashes(ctx context.Context, least uint64) (uint64, [][]byte, error) {
	began, patience := time.Now(), backIn
	if deadline, bounded := ctx.Deadline(); bounded {
		patience = deadline.Sub(began) / 2
	}
	for {
		all := t.all.Statuses(ctx)
		height, missing, away := common(all, max(least, 1))
		late := time.Since(began) > patience || away == len(missing) && time.Since(began) > backIn
		if late && height == 0 {
			height, missing, _ = common(all, 1) // as far as they are
		}
		if late && height == 0 {
			return 0, nil, fmt.Errorf("%w: %w", errNobody, all[0].Err)
		}
		if late || len(missing) == 0 {
			return t.hashesAt(ctx, height, missing)
		}
		select {
		case <-time.After(agreePause):
		case <-ctx.Done():
			return 0, nil, fmt.Errorf("wait until all nodes have block %d: %w", least, ctx.Err())
		}
	}
}

// common returns the newest block that all nodes have that are not missing, 0 if there are none: missing are those that do not
// answer, which are away in number, and those that do not have block least.
func common(all []client.NodeStatus, least uint64) (height uint64, missing map[int]error, away int) {
	missing = map[int]error{}
	for i, n := range all {
		switch {
		case n.Err != nil:
			missing[i] = n.Err
			away++
		case n.Status.Height < least:
			missing[i] = fmt.Errorf("it is at block %d, and block %d was acknowledged", n.Status.Height, least)
		case height == 0 || n.Status.Height < height:
			height = n.Status.Height
		}
	}
	return height, missing, away
}

// hashesAt asks the nodes that have a block for the app hash after it.
func (t *Target) hashesAt(ctx context.Context, height uint64, missing map[int]error) (uint64, [][]byte, error) {
	hashes := make([][]byte, len(t.each))
	from := -1
	for i, c := range t.each {
		if missing[i] != nil {
			continue
		}
		got, err := c.Ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{Height: height, HeaderOnly: true})
		if err != nil {
			missing[i] = err
			continue
		}
		hashes[i] = got.GetBlock().GetAppHash()
		from = i
	}
	switch {
	case from < 0:
		return 0, nil, errNobody
	case hashes[t.from.Load()] == nil:
		t.from.Store(int32(from))
	}
	if len(missing) > 0 {
		return height, hashes, &loadgen.Missing{Why: missing}
	}
	return height, hashes, nil
}
