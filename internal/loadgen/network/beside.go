package network

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/althing-ledger/althing/client"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
)

// Reader reads balances of the workload's accounts and checks their proofs. Close it when done.
type Reader struct {
	work  *Workload
	turn  atomic.Uint64
	nodes []*client.Client
}

// Reader returns a reader that asks all nodes in turn. token says as whom, nil for without a token.
func (w *Workload) Reader(token *client.TokenSource) (*Reader, error) {
	r := &Reader{work: w}
	for _, n := range w.file.Nodes {
		c, err := client.Dial(w.file, client.Config{Node: n.Name, Token: token})
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.nodes = append(r.nodes, c)
	}
	return r, nil
}

// Read reads the balance of an account drawn at random from the next node, with its proof, and checks that.
func (r *Reader) Read(ctx context.Context) error {
	c := r.nodes[r.turn.Add(1)%uint64(len(r.nodes))]
	account := r.work.account(rand.IntN(r.work.Accounts))
	got, err := c.Assets().GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: r.work.cash, Account: account})
	if err != nil {
		return err
	}
	if got.GetHolding().GetAccount() != account {
		return fmt.Errorf("asked for the balance of %s, got that of %.70q", account, got.GetHolding().GetAccount())
	}
	return nil
}

// Close closes all connections.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.nodes {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Watch returns what watches the blocks of a node, by a number that all watchers divide among the nodes.
func (t *Target) Watch(number int) func(ctx context.Context, block func(height uint64)) error {
	c := t.each[number%len(t.each)]
	return func(ctx context.Context, block func(height uint64)) error {
		for b, err := range c.Watch(ctx, 0) {
			if err != nil {
				return err
			}
			block(b.Height)
		}
		return nil
	}
}
