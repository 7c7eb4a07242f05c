package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/althing-ledger/althing/internal/loadgen"
)

// TestMain makes the test binary a validator where a test starts itself as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == nodeCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

// running starts a network that ends with the test.
func running(t *testing.T, o options) *network {
	t.Helper()
	n, err := start(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// Every transaction is answered once, by the node that it was sent to, and stands in the block that the answer says.
func TestCommits(t *testing.T) {
	for _, mempool := range []string{flood, appPool} {
		t.Run(mempool, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			o := options{validators: 4, mempool: mempool, keys: 1000}
			n := running(t, o)
			w := &keyValue{keys: o.keys, size: 250, senders: o.validators, nodes: o.validators}
			const each = 500
			said := map[loadgen.ID]uint64{}
			first := true
			for node := range n.processes {
				s, err := n.Open(ctx, node)
				if err != nil {
					t.Fatal(err)
				}
				ids := make([]loadgen.ID, each)
				for i := range ids {
					tx, err := w.Make(node, time.Time{})
					if err != nil {
						t.Fatal(err)
					}
					ids[i] = tx.ID
					if err := s.Send(uint64(i), tx.Raw); err != nil {
						t.Fatal(err)
					}
					if first { // the same once more is refused, and answered all the same
						first = false
						if err := s.Send(each, tx.Raw); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := s.CloseSend(); err != nil {
					t.Fatal(err)
				}
				for {
					a, err := s.Recv()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if a.Tag == each && a.Status == loadgen.Refused && a.Reason == "SEEN" {
						continue
					}
					if a.Status != loadgen.Committed || a.Code != 0 || said[ids[a.Tag]] != 0 {
						t.Fatalf("answer %+v", a)
					}
					said[ids[a.Tag]] = a.Height
				}
			}
			newest, found := uint64(0), 0
			for _, height := range said {
				newest = max(newest, height)
			}
			for b, err := range n.Blocks(ctx, 1, newest) {
				if err != nil {
					t.Fatal(err)
				}
				for _, tx := range b.Txs {
					found++
					if said[tx.ID] != b.Height || tx.Code != 0 {
						t.Fatalf("transaction %x is in block %d, and answered for block %d", tx.ID, b.Height, said[tx.ID])
					}
				}
			}
			if want := each * o.validators; found != want || len(said) != want {
				t.Fatalf("%d transactions in blocks, %d answered, %d sent", found, len(said), want)
			}
			_, digests, err := n.AppHashes(ctx, newest)
			if err != nil {
				t.Fatal(err)
			}
			for _, digest := range digests {
				if len(digest) == 0 || !bytes.Equal(digest, digests[0]) {
					t.Fatalf("the digests differ: %x", digests)
				}
			}
		})
	}
}
