package network

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

// reader is the node whose blocks are read: not the first one, which a client that names none talks to.
func (t *Target) reader() *client.Client { return t.each[len(t.each)-1] }

// Height implements [loadgen.Target].
func (t *Target) Height(ctx context.Context) (uint64, error) {
	status, err := t.reader().Status(ctx)
	if err != nil {
		return 0, err
	}
	return status.Height, nil
}

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
	got, err := t.reader().Block(ctx, height)
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

// agreePause is how often nodes are asked whether they have a block.
const agreePause = 50 * time.Millisecond

// AppHashes implements [loadgen.Target].
func (t *Target) AppHashes(ctx context.Context, least uint64) (uint64, [][]byte, error) {
	for {
		height, err := t.common(ctx, least)
		if err != nil {
			return 0, nil, err
		}
		if height > 0 {
			hashes, err := t.hashesAt(ctx, height)
			return height, hashes, err
		}
		select {
		case <-time.After(agreePause):
		case <-ctx.Done():
			return 0, nil, fmt.Errorf("wait until all nodes have block %d: %w", least, ctx.Err())
		}
	}
}

// common returns the newest block that all nodes have, 0 if that is below least or nothing pending is to become a block.
func (t *Target) common(ctx context.Context, least uint64) (uint64, error) {
	var height uint64
	for i, c := range t.each {
		status, err := c.Status(ctx)
		if err != nil {
			return 0, fmt.Errorf("node %s: %w", t.nodes[i].Name, err)
		}
		if height == 0 || status.Height < height {
			height = status.Height
		}
	}
	if height < max(least, 1) {
		return 0, nil
	}
	return height, nil
}

func (t *Target) hashesAt(ctx context.Context, height uint64) ([][]byte, error) {
	var hashes [][]byte
	for i, c := range t.each {
		got, err := c.Ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{Height: height, HeaderOnly: true})
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", t.nodes[i].Name, err)
		}
		hashes = append(hashes, got.GetBlock().GetAppHash())
	}
	return hashes, nil
}
