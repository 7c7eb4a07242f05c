package node_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	"github.com/althing-ledger/althing/proto/cursor"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestWatchThatStandsStill has a node send heartbeats instead of blocks, as one does that hides them: the other nodes have them,
// and the watch goes on there.
func TestWatchThatStandsStill(t *testing.T) {
	t.Parallel()
	w := newTheatre(t)
	first := w.nodes[0].status(t).Height
	proxy := clienttest.StartProxy(t, w.nodes[0].files(w).GRPC)
	var once sync.Once
	silent := make(chan struct{})
	proxy.Tamper(func(e *clienttest.Exchange) {
		if _, is := e.Answer.(*ledgerv1.WatchResponse); is {
			once.Do(func() { close(silent) })
			beat := &ledgerv1.WatchResponse_Heartbeat{Heartbeat: &ledgerv1.Heartbeat{Height: first}}
			e.Answer = &ledgerv1.WatchResponse{Item: beat, Cursor: cursor.Block(first + 1).String()}
		}
	})
	c, _ := w.dial(t, proxy, func(c *client.Config) { c.IdleProbe, c.FreshnessInterval = time.Second, time.Millisecond })
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	paid := make(chan uint64, 1)
	go func() {
		<-silent
		paid <- w.must(w.nodes[1], transfer("acme/treasury", "acme/usd", "globex/treasury", "1")).Height
	}()
	for block, err := range c.Watch(ctx, first+1) {
		if err != nil {
			t.Fatal(err)
		}
		if block.TxCount > 0 {
			if want := <-paid; block.Height != want {
				t.Errorf("block %d, want %d", block.Height, want)
			}
			return
		}
	}
}
