package mempool

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/althing-ledger/althing/keys"
)

func TestConduct(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	var c conduct
	var judged, refused uint64
	for _, step := range []struct {
		name      string
		good, bad uint64 // judged since the last step
		after     time.Duration
		want      int // of 1,000 offers
	}{
		{"a newcomer", 0, 0, 0, 1000},
		{"too few to judge", 0, conductLeast - 1, 0, 1000},
		{"as many good ones", conductLeast - 1, 0, 0, 1000},
		{"one more bad", 0, 1, 0, poorBurst},
		{"at once again", 0, 0, 0, 0},
		{"half a second later", 0, 0, time.Second / 2, poorRate / 2},
		{"a clock that goes back", 0, 0, -time.Second, 0},
		{"long after", 0, 0, time.Hour, poorBurst},
		{"the window ends", 0, conductWindow, time.Hour, poorBurst},
		{"a few good ones", conductLeast - 1, 0, time.Second, poorBurst},
		{"enough good ones", 1, 0, 0, 1000},
		{"one of the old kind", 0, 1, 0, 1000},
	} {
		judged, refused = judged+step.good+step.bad, refused+step.bad
		now = now.Add(step.after)
		if got := c.allowance(1000, judged, refused, now); got != step.want {
			t.Errorf("%s: %d are taken, want %d", step.name, got, step.want)
		}
	}
}

// TestPoorPeer: a peer whose offers are mostly refused keeps verification less busy; the others are not concerned.
func TestPoorPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newNode(t, "a", Config{})
		for _, name := range []string{"poor", "good"} {
			a.gossip.AddPeer(name, func([]byte) bool { return true })
		}
		key, expires := newKey(t, keys.SchemeEd25519, "acme"), time.Now().Add(time.Hour)
		offer := func(name string, n int, good bool) {
			var raws [][]byte
			for i := range n {
				raw := []byte(name + time.Now().String() + strconv.Itoa(i))
				if good {
					raw = transfer(t, "acme", string(raw), expires, key)
				}
				raws = append(raws, raw)
			}
			if err := a.gossip.Receive(name, encodeMessage(raws)); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		offer("poor", conductLeast, false)
		offer("good", conductLeast, true)
		for range 10 {
			offer("poor", 1000, false)
		}
		offer("good", 1000, true)
		if s := a.gossip.Peers()["poor"]; s.Refused > conductLeast+poorBurst+10*poorRate || s.Dropped != s.Received-s.Refused {
			t.Errorf("the poor peer: %+v", s)
		}
		if s := a.gossip.Peers()["good"]; s.Accepted != conductLeast+1000 {
			t.Errorf("the good peer: %+v", s)
		}
		end(a)
	})
}
