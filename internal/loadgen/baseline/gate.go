package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/mempool"
)

// On a connection for submissions, the client writes frames of a tag (8 bytes), the length of a transaction (4 bytes) and the
// transaction; the node answers each with its tag (8 bytes), the height (8 bytes), the code (4 bytes) and a verdict (1 byte), all
// big-endian. The client closes its side when it has no more; the node then closes when it has answered everything.
const (
	frameBytes  = 12
	answerBytes = 21
	maxTxBytes  = 1 << 20
)

// verdict is what became of a transaction.
type verdict byte

const (
	committed verdict = iota + 1
	noRoom            // for it
	seen              // the mempool knows it already
	invalid           // the store does not take it
	failed            // the mempool failed
)

func encodeAnswer(tag uint64, height int64, code uint32, v verdict) (a [answerBytes]byte) {
	binary.BigEndian.PutUint64(a[0:], tag)
	binary.BigEndian.PutUint64(a[8:], uint64(height))
	binary.BigEndian.PutUint32(a[16:], code)
	a[20] = byte(v)
	return a
}

// gate takes transactions into the engine's mempool and answers when they are in a committed block, or will not be.
type gate struct {
	mempool mempool.Mempool

	mu      sync.Mutex
	waiting map[string]waiter // by all bytes of the transaction
}

// waiter is who waits for a transaction.
type waiter struct {
	out *outbox
	tag uint64
}

func newGate(pool mempool.Mempool) *gate { return &gate{mempool: pool, waiting: map[string]waiter{}} }

// serve takes what comes over a connection and returns when everything is answered, the connection broken or the context
// ended.
func (g *gate) serve(ctx context.Context, conn net.Conn) error {
	out := newOutbox()
	defer context.AfterFunc(ctx, func() { out.fail(ctx.Err()); _ = conn.Close() })()
	read := make(chan error, 1)
	go func() {
		err := g.read(bufio.NewReaderSize(conn, maxUnsent), out)
		if err != nil {
			out.fail(err)
		}
		out.close()
		read <- err
	}()
	written := out.run(conn)
	_ = conn.Close()
	err := <-read
	g.forget(out)
	return errors.Join(err, written)
}

func (g *gate) read(r io.Reader, out *outbox) error {
	var header [frameBytes]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a submission: %w", err)
		}
		size := binary.BigEndian.Uint32(header[8:])
		if size > maxTxBytes {
			return fmt.Errorf("a transaction of %d bytes was submitted, at most %d", size, maxTxBytes)
		}
		tx := make([]byte, size)
		if _, err := io.ReadFull(r, tx); err != nil {
			return fmt.Errorf("read a submission: %w", err)
		}
		if err := out.owe(); err != nil {
			return err
		}
		g.submit(tx, waiter{out, binary.BigEndian.Uint64(header[:])})
	}
}

// submit hands a transaction to the mempool. Its waiter is answered exactly once, now or later.
func (g *gate) submit(tx []byte, w waiter) {
	if full(forClients, g.mempool.Size(), g.mempool.SizeBytes()) {
		w.answer(0, 0, noRoom)
		return
	}
	g.mu.Lock()
	if _, twice := g.waiting[string(tx)]; twice {
		g.mu.Unlock()
		w.answer(0, 0, seen)
		return
	}
	g.waiting[string(tx)] = w
	g.mu.Unlock()

	err := g.mempool.CheckTx(tx, func(res *abci.ResponseCheckTx) {
		switch {
		case res.Code >= abci.CodeTypeRetry:
			g.answer(tx, res.Code, noRoom)
		case res.Code != abci.CodeTypeOK:
			g.answer(tx, res.Code, invalid)
		}
	}, mempool.TxInfo{})
	var isFull mempool.ErrMempoolIsFull
	switch {
	case err == nil: // the answer follows
	case errors.Is(err, mempool.ErrTxInCache), errors.Is(err, mempool.ErrSeenTx):
		g.answer(tx, 0, seen)
	case errors.As(err, &isFull):
		g.answer(tx, 0, noRoom)
	default:
		g.answer(tx, 0, failed)
	}
}

// answer answers for a transaction that is in no block.
func (g *gate) answer(tx []byte, code uint32, v verdict) {
	g.mu.Lock()
	w, ok := g.waiting[string(tx)]
	delete(g.waiting, string(tx))
	g.mu.Unlock()
	if ok {
		w.answer(0, code, v)
	}
}

// follow answers for the transactions of all blocks until the context ends.
func (g *gate) follow(ctx context.Context, blocks <-chan block) {
	for {
		select {
		case b := <-blocks:
			g.committed(b.height, b.txs)
		case <-ctx.Done():
			return
		}
	}
}

// committed answers for the transactions of a block.
func (g *gate) committed(height int64, txs [][]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, tx := range txs {
		if w, ok := g.waiting[string(tx)]; ok {
			delete(g.waiting, string(tx))
			w.answer(height, abci.CodeTypeOK, committed)
		}
	}
}

// forget drops the waiters of a connection that is no more.
func (g *gate) forget(out *outbox) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for tx, w := range g.waiting {
		if w.out == out {
			delete(g.waiting, tx)
		}
	}
}

func (w waiter) answer(height int64, code uint32, v verdict) {
	w.out.answer(encodeAnswer(w.tag, height, code, v))
}
