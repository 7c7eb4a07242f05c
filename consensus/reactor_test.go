package consensus

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	cmtp2p "github.com/cometbft/cometbft/p2p"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"github.com/althing-ledger/althing/p2p"
)

// line is a peer whose connection is congested until room is made, and which may go.
type line struct {
	cmtp2p.Peer
	id   cmtp2p.ID
	room chan struct{}
	gone chan struct{}
}

func newLine(id string) *line {
	return &line{id: cmtp2p.ID(id), room: make(chan struct{}, 8), gone: make(chan struct{})}
}

func (l *line) ID() cmtp2p.ID             { return l.id }
func (l *line) IsOutbound() bool          { return true }
func (l *line) RemoteAddr() net.Addr      { return &net.TCPAddr{} }
func (l *line) Get(string) any            { return nil }
func (l *line) NodeInfo() cmtp2p.NodeInfo { return nil }
func (l *line) Quit() <-chan struct{}     { return l.gone }

func (l *line) IsRunning() bool {
	select {
	case <-l.gone:
		return false
	default:
		return true
	}
}

func (l *line) TrySend(e cmtp2p.Envelope) bool {
	select {
	case <-l.room:
		return len(e.Message.(*protomem.Txs).Txs) == 1
	default:
		return false
	}
}

// newTestReactor returns a reactor, its gossip and the id of a node that it lists.
func newTestReactor(t *testing.T) (*gossipReactor, *chatter, string) {
	t.Helper()
	l, err := openLedger(dbm.NewMemDB())
	if err != nil {
		t.Fatal(err)
	}
	c := newChatter(l)
	w := newWorld(t, 1, 0)
	registry := w.hosts[0].registry
	roster := newRoster(registry, p2p.NewDoor(registry, nil))
	return newGossipReactor(c, roster, func() {}, func() {}), c, w.hosts[0].member.ID
}

func TestAPeerThatFailedAtOnceIsNotAnnounced(t *testing.T) {
	t.Parallel()
	r, c, id := newTestReactor(t)
	peer := newLine(id)
	close(peer.gone)
	r.RemovePeer(peer, nil)
	r.AddPeer(peer) // late, as the engine may be
	if len(r.roster.list()) != 0 || c.hasMet(id) {
		t.Error("a dead peer was announced")
	}
}

func TestTheEndOfAnOldConnectionDoesNotRemoveANewOne(t *testing.T) {
	t.Parallel()
	r, c, id := newTestReactor(t)
	before, after := newLine(id), newLine(id)
	r.AddPeer(before)
	close(before.gone)
	r.RemovePeer(before, nil)
	r.AddPeer(after)
	r.RemovePeer(before, nil)
	if len(r.roster.list()) != 1 {
		t.Error("the new connection was removed")
	}
	close(after.gone)
	r.RemovePeer(after, nil)
	if len(r.roster.list()) != 0 {
		t.Error("the new connection is still there")
	}
	c.senders.Wait()
}

// A message of a peer that is not listed any more goes nowhere, whatever has been heard of
// the connection's end.
func TestMessagesOfAnUnlistedPeerAreDropped(t *testing.T) {
	t.Parallel()
	r, c, id := newTestReactor(t)
	listed, stranger := newLine(id), newLine(strings.Repeat("0", 40))
	say := func(peer *line) {
		r.Receive(cmtp2p.Envelope{Src: peer, Message: &protomem.Txs{Txs: [][]byte{[]byte("Ttx")}}})
	}
	say(stranger)
	r.AddPeer(stranger)
	if c.messages() != 0 || c.hasMet(string(stranger.id)) || len(r.roster.list()) != 0 {
		t.Error("the gossip heard of a node that is not listed")
	}
	say(listed)
	if c.messages() != 1 {
		t.Error("the gossip did not hear a listed node")
	}
	other := p2p.Member{Name: "other", Org: "other", ID: string(stranger.id)}
	if err := r.roster.registry.Set([]p2p.Member{other}); err != nil {
		t.Fatal(err)
	}
	say(listed)
	if c.messages() != 1 {
		t.Error("the gossip heard a node that is not listed any more")
	}
	close(stranger.gone)
	say(stranger)
	if c.messages() != 1 {
		t.Error("the gossip heard a connection that has been closed")
	}
}

func TestSendWaitsForRoomButNotForTheDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &gossipReactor{}
		free, congested, dying, stuck := newLine("a"), newLine("b"), newLine("c"), newLine("d")
		free.room <- struct{}{}
		time.AfterFunc(time.Second, func() { congested.room <- struct{}{} })
		time.AfterFunc(time.Second, func() { close(dying.gone) })
		tests := []struct {
			name string
			peer *line
			want bool
			took time.Duration
		}{
			{"free", free, true, 0},
			{"congested", congested, true, time.Second},
			{"dying", dying, false, 0}, // has gone while we waited for the one before
			{"stuck", stuck, false, sendPatience},
		}
		for _, tt := range tests {
			begin := time.Now()
			if got := r.send(tt.peer, []byte("x")); got != tt.want {
				t.Errorf("%s: send = %v", tt.name, got)
			}
			if took := time.Since(begin); took < tt.took || took > tt.took+2*sendRetryPeriod {
				t.Errorf("%s: took %v, want %v", tt.name, took, tt.took)
			}
		}
	})
}
