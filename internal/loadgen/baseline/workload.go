package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/internal/loadgen"
)

// keyValue makes transactions `key=value`. Keys are chosen alike from all there are; values hold a number that comes once, so that no two
// transactions are equal, and then letters that do not compress well, as signatures do not.
type keyValue struct {
	keys    int
	size    int // bytes of a transaction
	senders int
	nodes   int

	made atomic.Uint64
}

// The smallest and the largest transaction, and the most keys, that there can be.
const (
	minTxSize = 32
	maxTxSize = 64 << 10
	maxKeys   = 10_000_000
)

// keyName is the n-th key.
func keyName(n int) string { return fmt.Sprintf("k%08d", n) }

// Describe names the transactions.
func (w *keyValue) Describe() string { return fmt.Sprintf("key=value of %d bytes, unsigned", w.size) }

// Prepare has nothing to do: every node starts with all keys.
func (w *keyValue) Prepare(context.Context, loadgen.Target, loadgen.Progress) error { return nil }

// Senders is how many senders there are.
func (w *keyValue) Senders() int { return w.senders }

// Sender spreads senders over nodes.
func (w *keyValue) Sender(sender int) loadgen.Sender { return loadgen.Sender{Node: sender % w.nodes} }

// Make returns a transaction that there was not before.
func (w *keyValue) Make(int, time.Time) (loadgen.Tx, error) {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	raw := make([]byte, 0, max(w.size, minTxSize))
	raw = fmt.Appendf(raw, "%s=%x-", keyName(rand.IntN(w.keys)), w.made.Add(1))
	for len(raw) < w.size {
		for bits := rand.Uint64(); bits != 0 && len(raw) < w.size; bits >>= 6 {
			raw = append(raw, letters[bits&63])
		}
	}
	return loadgen.Tx{ID: sha256.Sum256(raw), Raw: raw}, nil
}
