package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	bcproto "github.com/cometbft/cometbft/proto/tendermint/blocksync"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cosmos/gogoproto/proto"
)

// notebook is a log that can be read while it is written.
type notebook struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (n *notebook) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.out.Write(b)
}

func (n *notebook) count(what string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.out.String(), what)
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// meet connects a raw peer and keeps reading, so that the node never waits for it. gone is closed
// when the node has hung up.
func (r *rawPeer) meet(h *host) (l *rawLine, gone chan struct{}) {
	t := r.world.t
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		var err error
		if l, err = r.dial(h); err == nil {
			gone = make(chan struct{})
			go func() {
				_, _ = io.Copy(io.Discard, l)
				l.Close()
				close(gone)
			}()
			if h.takesIn(r.id, gone) {
				return l, gone
			}
			err = errors.New("the node hung up") // it still holds the connection before
		}
		if time.Now().After(deadline) {
			t.Fatalf("the raw peer cannot connect: %v", err)
		}
	}
}

// takesIn waits until the node has taken the raw peer for a peer, or has hung up.
func (h *host) takesIn(id string, gone chan struct{}) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !h.isPeer(id) {
		select {
		case <-gone:
			return false
		case <-tick.C:
		}
	}
	return true
}

// isPeer says whether the node has taken the raw peer in.
func (h *host) isPeer(id string) bool {
	for _, p := range h.node.Status().Peers {
		if p.ID == id {
			return true
		}
	}
	return false
}

// A listed node sends what no honest one sends, on every channel. It is disconnected and named,
// and the network goes on. This test counts goroutines, so nothing runs beside it.
func TestAMemberThatSendsNonsenseIsCutOffAndNamed(t *testing.T) {
	w := newWorld(t, 4, 0)
	culprit := newRawPeer(w, "culprit")
	h, log := w.hosts[0], &notebook{}
	h.tweak = func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) }
	h.list(append(w.members(), culprit.member("globex-1"))...)
	w.start()
	w.commit("begin", w.hosts[1], w.hosts...)
	goroutines := runtime.NumGoroutine()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	heap := memory.HeapAlloc

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	hash := bytes.Repeat([]byte{7}, 32)
	type attack struct {
		name    string
		channel byte
		msg     []byte
	}
	attacks := []attack{
		{"an unknown channel", 0x77, []byte{1}},
		{"an unsolicited block", 0x40, marshal(t, &bcproto.Message{Sum: &bcproto.Message_BlockResponse{BlockResponse: &bcproto.BlockResponse{Block: &cmtproto.Block{}}}})},
		{"a status below zero", 0x40, marshal(t, &bcproto.Message{Sum: &bcproto.Message_StatusResponse{StatusResponse: &bcproto.StatusResponse{Height: -1}}})},
		{"a step that does not exist", 0x20, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_NewRoundStep{NewRoundStep: &cmtcons.NewRoundStep{Height: 1, Step: 99}}})},
		{"a step below the first height", 0x20, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_NewRoundStep{NewRoundStep: &cmtcons.NewRoundStep{Height: -5, Step: 1}}})},
		{"a proposal without a signature", 0x21, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_Proposal{Proposal: &cmtcons.Proposal{}}})},
		{"a proposal of a thousand gigabytes", 0x21, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_Proposal{Proposal: &cmtcons.Proposal{Proposal: cmtproto.Proposal{
			Type: cmtproto.ProposalType, Height: 5, PolRound: -1, Signature: make([]byte, 64),
			BlockID: cmtproto.BlockID{Hash: hash, PartSetHeader: cmtproto.PartSetHeader{Total: 1 << 24, Hash: hash}}}}}})},
		{"a block part out of range", 0x21, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_BlockPart{BlockPart: &cmtcons.BlockPart{Height: 1, Part: cmtproto.Part{Index: 1 << 30, Bytes: []byte{1}}}}})},
		{"a vote without a signature", 0x22, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_Vote{Vote: &cmtcons.Vote{Vote: &cmtproto.Vote{Type: 1, Height: 1}}}})},
		{"vote bits of a round below zero", 0x23, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_VoteSetBits{VoteSetBits: &cmtcons.VoteSetBits{Height: 1, Round: -1}}})},
		{"gossip without a message", 0x30, marshal(t, &protomem.Message{Sum: &protomem.Message_Txs{Txs: &protomem.Txs{}}})},
		{"gossip that the pool refuses", 0x30, marshal(t, &protomem.Message{Sum: &protomem.Message_Txs{Txs: &protomem.Txs{Txs: [][]byte{[]byte("nonsense")}}}})},
		{"empty evidence", 0x38, marshal(t, &cmtproto.EvidenceList{Evidence: make([]cmtproto.Evidence, 1)})},
	}
	for _, channel := range everyChannel {
		attacks = append(attacks,
			attack{fmt.Sprintf("noise on %#x", channel), channel, append([]byte{0x0a, 0x7f}, noise(40)...)},
			attack{fmt.Sprintf("a message without end on %#x", channel), channel, nil})
	}
	for i, a := range attacks {
		l, gone := culprit.meet(h)
		if a.msg != nil {
			_ = l.send(a.channel, a.msg)
		} else {
			for chunk := make([]byte, 4<<20); ; { // never says that the message is complete
				if err := l.open(a.channel, chunk); err != nil {
					break
				}
			}
		}
		select {
		case <-gone:
		case <-time.After(patience):
			t.Fatalf("%s: still connected", a.name)
		}
		w.eventually("the node has noticed that the culprit is gone", func() bool { return !h.isPeer(culprit.id) })
		if i%5 == 0 {
			w.commit(fmt.Sprintf("despite %d", i), w.hosts[i%4], w.hosts...)
		}
	}
	if n := h.node.Refusals().Misbehaved; n != uint64(len(attacks)) {
		t.Errorf("%d of %d attacks were held against the culprit", n, len(attacks))
	}
	if n := log.count("misbehaved"); n == 0 || n != log.count("misbehaved\" peer="+culprit.id+" name=globex-1 org=globex") {
		t.Errorf("the culprit is not named:\n%s", log.out.String())
	}

	// What is well formed may be repeated; it must not cost more than its bytes.
	l, gone := culprit.meet(h)
	repeated := []attack{
		{"", 0x40, marshal(t, &bcproto.Message{Sum: &bcproto.Message_StatusRequest{StatusRequest: &bcproto.StatusRequest{}}})},
		{"", 0x40, marshal(t, &bcproto.Message{Sum: &bcproto.Message_BlockRequest{BlockRequest: &bcproto.BlockRequest{Height: 1}}})},
		{"", 0x20, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_HasVote{HasVote: &cmtcons.HasVote{Height: 1, Type: 1}}})},
		{"", 0x20, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_NewRoundStep{NewRoundStep: &cmtcons.NewRoundStep{Height: 1 << 60, Step: 1, LastCommitRound: 0}}})},
		{"", 0x22, marshal(t, &cmtcons.Message{Sum: &cmtcons.Message_Vote{Vote: &cmtcons.Vote{Vote: &cmtproto.Vote{Type: 1, Height: 1 << 60,
			ValidatorAddress: make([]byte, 20), Signature: make([]byte, 64)}}}})},
		{"", 0x30, marshal(t, &protomem.Message{Sum: &protomem.Message_Txs{Txs: &protomem.Txs{Txs: [][]byte{[]byte("Tsame")}}}})},
	}
	for range 3000 {
		for _, a := range repeated {
			if err := l.send(a.channel, a.msg); err != nil {
				t.Fatalf("repeating what is allowed: %v", err)
			}
		}
	}
	w.commit("despite the flood", w.hosts[2], w.hosts...)
	l.Close()
	<-gone
	w.eventually("the node has noticed that the culprit is gone", func() bool { return !h.isPeer(culprit.id) })
	w.eventually("the goroutines of all those connections have ended", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	w.eventually("the memory of all those connections is free again", func() bool {
		runtime.GC() // what lies in pools takes two
		runtime.ReadMemStats(&memory)
		return memory.HeapAlloc <= heap+(64<<20)
	})
	if h.node.Status().CaughtUp == false {
		t.Error("one liar about heights has turned this node")
	}
}

// The members that are left hear nothing any more of one that was removed, whatever it still has
// to say, and the reason is on record.
func TestARemovedMemberThatGoesOnTalkingIsNotHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	talker := newRawPeer(w, "talker")
	listed := talker.member("globex-1")
	h.list(h.member, listed)
	h.start()
	w.settled(h)
	l, gone := talker.meet(h)
	w.eventually("the talker is a peer", func() bool { return h.isPeer(talker.id) })
	talk := func(n int) error {
		tx := fmt.Appendf(nil, "Tword %d", n)
		return l.send(0x30, marshal(t, &protomem.Message{Sum: &protomem.Message_Txs{Txs: &protomem.Txs{Txs: [][]byte{tx}}}}))
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; talk(n) == nil; n++ {
		}
	}()
	w.eventually("the talker is heard", func() bool { return h.chatter.messages() > 100 })
	begin := time.Now()
	h.list(h.member)
	// One message may have been past the door when it closed.
	heard := h.chatter.messages()
	<-gone
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("hung up after %v, the promise is 2s", took)
	}
	<-stopped
	if now := h.chatter.messages(); now > heard+1 {
		t.Errorf("%d messages were heard after the removal", now-heard)
	}
	w.eventually("the eviction is on record", func() bool { return len(h.node.Evictions()) == 1 })
	if e := h.node.Evictions()[0]; e.ID != talker.id || e.Name != "globex-1" || e.Org != "globex" || e.Reason != "node removed" {
		t.Errorf("the eviction is %+v", e)
	}
	// It is refused from now on, and told apart from one that was never listed.
	again, err := talker.dial(h)
	if err == nil {
		if n, err := again.rest(); n != 0 || err != nil {
			t.Errorf("%d bytes after the handshake, %v", n, err)
		}
	}
	w.eventually("the refusal is on record", func() bool { return h.node.Refusals().Newest.Name == "globex-1" })
}
