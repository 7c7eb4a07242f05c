package node_test

import (
	"slices"
	"testing"

	"github.com/althing-ledger/althing/client"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestProvenStream watches a real node without believing it: each block is proven, and events and transactions are taken out
// of the blocks by the client, filtered or not, from any cursor, across a restart of the node.
func TestProvenStream(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100"))
	for range 3 {
		n.must(m, transfer("acme/treasury", "acme/usd", "acme/admin", "1"))
	}
	var lies []*client.Lie
	c, err := client.Dial(n.files.File, client.Config{OnLie: func(lie *client.Lie) { lies = append(lies, lie) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	take := func(o client.WatchOptions, count int) (cursors, kinds []string) {
		t.Helper()
		for item, err := range c.Stream(t.Context(), o) {
			if err != nil {
				t.Fatalf("after %v: %v", cursors, err)
			}
			cursors = append(cursors, item.Cursor)
			if item.Event != nil {
				group := item.Event.Event.ProtoReflect().Descriptor().Oneofs().ByName("kind")
				kinds = append(kinds, string(item.Event.Event.ProtoReflect().WhichOneof(group).Name()))
			}
			if len(cursors) == count {
				break
			}
		}
		return cursors, kinds
	}
	events := client.WatchOptions{From: 1, Detail: ledgerv1.Detail_DETAIL_EVENTS}
	all, kinds := take(events, 5)
	if want := []string{"asset_created", "asset_minted", "asset_transferred", "asset_transferred", "asset_transferred"}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
	m.stop()
	m.start()
	m.waitReady()
	events.Cursor = all[1]
	if rest, _ := take(events, 3); !slices.Equal(rest, all[2:]) {
		t.Errorf("after %s: %v, want %v", all[1], rest, all[2:])
	}
	filtered := client.WatchOptions{
		From: 1, Detail: ledgerv1.Detail_DETAIL_TRANSACTIONS, Filter: &ledgerv1.Filter{Kinds: []string{"asset_transfer"}},
	}
	proven, _ := take(filtered, 3)
	filtered.Unverified = true
	if believed, _ := take(filtered, 3); !slices.Equal(believed, proven) {
		t.Errorf("the node filters %v, the client %v", believed, proven)
	}
	blocks, _ := take(client.WatchOptions{From: 1}, 4)
	if want := []string{"2", "3", "4", "5"}; !slices.Equal(blocks, want) {
		t.Errorf("blocks %v, want %v", blocks, want)
	}
	if len(lies) > 0 {
		t.Errorf("an honest node is said to lie: %v", lies)
	}
}
