package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/internal/loadgen"
)

var _ loadgen.Target = (*network)(nil)

// Nodes returns the validators.
func (n *network) Nodes() []loadgen.Node {
	nodes := make([]loadgen.Node, len(n.processes))
	for i, p := range n.processes {
		nodes[i] = loadgen.Node{Name: p.name, Process: loadgen.LocalProcess{PID: p.cmd.Process.Pid, Dir: p.home}}
	}
	return nodes
}

// Height returns the height of the first validator.
func (n *network) Height(ctx context.Context) (uint64, error) {
	var s Status
	err := n.processes[0].ask(ctx, "Status", None{}, &s)
	return uint64(s.Height), err
}

// Blocks yields blocks as the first validator has them, and waits for those that it has not yet.
func (n *network) Blocks(ctx context.Context, from, to uint64) iter.Seq2[loadgen.Block, error] {
	return func(yield func(loadgen.Block, error) bool) {
		for height := from; height <= to; height++ {
			if _, err := n.processes[0].reach(ctx, height); err != nil {
				yield(loadgen.Block{}, err)
				return
			}
			var stored Block
			if err := n.processes[0].ask(ctx, "Block", int64(height), &stored); err != nil {
				yield(loadgen.Block{}, err)
				return
			}
			b := loadgen.Block{Height: height, Time: stored.Time, Bytes: stored.Bytes, Txs: make([]loadgen.BlockTx, len(stored.IDs)/sha256.Size)}
			for i := range b.Txs {
				b.Txs[i].ID = loadgen.ID(stored.IDs[i*sha256.Size:])
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// AppHashes returns for each validator the hash of a block and the app hash after it, as one: the app hash alone only
// says how many transactions there were.
func (n *network) AppHashes(ctx context.Context, least uint64) (height uint64, hashes [][]byte, err error) {
	height = least
	for _, p := range n.processes {
		at, err := p.reach(ctx, least)
		if err != nil {
			return 0, nil, err
		}
		height = max(height, at)
	}
	for _, p := range n.processes {
		if _, err := p.reach(ctx, height); err != nil {
			return 0, nil, err
		}
		var digest []byte
		if err := p.ask(ctx, "Digest", int64(height), &digest); err != nil {
			return 0, nil, err
		}
		hashes = append(hashes, digest)
	}
	return height, hashes, nil
}

// reach waits until the node has a block and returns the height it has reached.
func (p *process) reach(ctx context.Context, height uint64) (uint64, error) {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		var s Status
		if err := p.ask(ctx, "Status", None{}, &s); err != nil {
			return 0, err
		}
		if uint64(s.Height) >= height {
			return uint64(s.Height), nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for block %d on %s: %w", height, p.name, context.Cause(ctx))
		}
	}
}

// Open opens a connection to a validator.
func (n *network) Open(ctx context.Context, node int) (loadgen.Stream, error) {
	p := n.processes[node]
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", p.name, err)
	}
	s := &stream{out: newOutbox(), conn: conn, answers: bufio.NewReaderSize(conn, maxUnsent)}
	if err := s.out.put([]byte{forSubmissions}, nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s.detach = context.AfterFunc(ctx, func() { s.out.fail(ctx.Err()); _ = conn.Close() })
	go s.write()
	return s, nil
}

// stream is a connection for submissions.
type stream struct {
	out     *outbox
	conn    net.Conn
	answers *bufio.Reader
	detach  func() bool
	due     atomic.Int64 // transactions that are not answered
}

// write writes what is sent, and then says that it was all.
func (s *stream) write() {
	if err := s.out.run(s.conn); err != nil {
		_ = s.conn.Close() // Recv tells
		return
	}
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails on a connection that Recv finds broken
	}
}

// Send hands over a transaction.
func (s *stream) Send(tag uint64, raw []byte) error {
	var header [frameBytes]byte
	binary.BigEndian.PutUint64(header[0:], tag)
	binary.BigEndian.PutUint32(header[8:], uint32(len(raw)))
	s.due.Add(1)
	return s.out.put(header[:], raw)
}

// CloseSend says that nothing more will be sent.
func (s *stream) CloseSend() error {
	s.out.close()
	return nil
}

// Recv returns the next answer.
func (s *stream) Recv() (loadgen.Answer, error) {
	var a [answerBytes]byte
	if _, err := io.ReadFull(s.answers, a[:]); err != nil {
		if err == io.EOF && s.due.Load() > 0 {
			err = io.ErrUnexpectedEOF // the node has gone
		}
		s.detach()
		s.out.fail(err)
		_ = s.conn.Close() // nothing follows from its failure
		return loadgen.Answer{}, err
	}
	s.due.Add(-1)
	return decodeAnswer(a)
}

// retryAfter is how long to wait when a mempool is full: until there was a block.
const retryAfter = 250 * time.Millisecond

func decodeAnswer(a [answerBytes]byte) (loadgen.Answer, error) {
	answer := loadgen.Answer{
		Tag:    binary.BigEndian.Uint64(a[0:]),
		Height: binary.BigEndian.Uint64(a[8:]),
		Code:   binary.BigEndian.Uint32(a[16:]),
	}
	switch verdict(a[20]) {
	case committed:
		answer.Status = loadgen.Committed
	case noRoom:
		answer.Status, answer.RetryAfter = loadgen.Busy, retryAfter
	case seen:
		answer.Status, answer.Reason = loadgen.Refused, "SEEN"
	case invalid:
		answer.Status, answer.Reason = loadgen.Refused, "INVALID"
	case failed:
		answer.Status, answer.Reason = loadgen.Undecided, "MEMPOOL_FAILED"
	default:
		return answer, fmt.Errorf("the node answers %d", a[20])
	}
	return answer, nil
}
