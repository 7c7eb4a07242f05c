package consensus

import (
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/protoio"
	cmtp2p "github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	tmp2p "github.com/cometbft/cometbft/proto/tendermint/p2p"
	"github.com/cometbft/cometbft/version"

	"github.com/althing-ledger/althing/p2p"
)

// everyChannel is what a node registers.
var everyChannel = []byte{0x40, 0x20, 0x21, 0x22, 0x23, 0x30, 0x38}

// rawPeer speaks the engine's protocol by hand, with a node key of its own.
type rawPeer struct {
	world *world
	key   ed25519.PrivateKey
	id    string
}

func newRawPeer(w *world, name string) *rawPeer {
	k := key("raw " + name + w.t.Name())
	return &rawPeer{world: w, key: k, id: p2p.NodeID(k.Public().(ed25519.PublicKey))}
}

func (r *rawPeer) member(name string) p2p.Member {
	return p2p.Member{Name: name, Org: name[:len(name)-2], ID: r.id}
}

// info is what the peer says about itself: the truth, and that it knows every channel.
func (r *rawPeer) info() cmtp2p.DefaultNodeInfo {
	return cmtp2p.DefaultNodeInfo{
		ProtocolVersion: cmtp2p.NewProtocolVersion(version.P2PProtocol, version.BlockProtocol, 1),
		DefaultNodeID:   cmtp2p.ID(r.id), ListenAddr: "127.0.0.1:1", Network: r.world.genesis.ChainID,
		Version: version.TMCoreSemVer, Channels: everyChannel, Moniker: "raw",
	}
}

// rawLine is an established connection of a raw peer.
type rawLine struct {
	*conn.SecretConnection
	info *tmp2p.DefaultNodeInfo // what the other side said about itself, nil if it did not
}

// shake does both halves of the handshake. An error after the first half leaves info empty.
func (r *rawPeer) shake(c net.Conn) (*rawLine, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	secret, err := conn.MakeSecretConnection(c, cmted25519.PrivKey(r.key))
	if err != nil {
		return nil, err
	}
	l := &rawLine{SecretConnection: secret}
	if _, err := protoio.NewDelimitedWriter(secret).WriteMsg(r.info().ToProto()); err != nil {
		return l, err
	}
	var info tmp2p.DefaultNodeInfo
	if _, err := protoio.NewDelimitedReader(secret, cmtp2p.MaxNodeInfoSize()).ReadMsg(&info); err != nil {
		return l, err
	}
	l.info = &info
	return l, nil
}

// dial connects to a node and shakes hands.
func (r *rawPeer) dial(h *host) (*rawLine, error) {
	c, err := net.Dial("tcp", h.member.Addresses[0])
	if err != nil {
		return nil, err
	}
	l, err := r.shake(c)
	if err != nil {
		c.Close()
	}
	return l, err
}

// rest reads until the other side closes and returns how many bytes came.
func (l *rawLine) rest() (int64, error) {
	n, err := io.Copy(io.Discard, l.SecretConnection)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return n, err
	}
	return n, nil // reset or end of file: the other side has closed
}

// open writes part of a message, in packets of at most 32 KiB.
func (l *rawLine) open(channel byte, part []byte) error { return l.packets(channel, part, false) }

// send writes one message in packets of at most 32 KiB.
func (l *rawLine) send(channel byte, msg []byte) error { return l.packets(channel, msg, true) }

func (l *rawLine) packets(channel byte, msg []byte, complete bool) error {
	w := protoio.NewDelimitedWriter(l.SecretConnection)
	for {
		n := min(len(msg), 32<<10)
		packet := &tmp2p.PacketMsg{ChannelID: int32(channel), EOF: complete && n == len(msg), Data: msg[:n]}
		if _, err := w.WriteMsg(&tmp2p.Packet{Sum: &tmp2p.Packet_PacketMsg{PacketMsg: packet}}); err != nil {
			return err
		}
		if msg = msg[n:]; len(msg) == 0 {
			return nil
		}
	}
}

// A stranger sees the handshake and then nothing: whatever it asks for, whoever dialled.
func TestAStrangerGetsNoByteBeyondTheHandshake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	// A member that is listed under an address where somebody else listens.
	squatter := newRawPeer(w, "squatter")
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	victim := newRawPeer(w, "victim")
	absent := victim.member("absent-1")
	absent.Addresses = []string{trap.Addr().String()}
	h.list(h.member, absent)
	h.start()
	w.settled(h)

	t.Run("inbound", func(t *testing.T) {
		l, err := newRawPeer(w, "stranger").dial(h)
		if err != nil {
			t.Fatal(err)
		}
		for _, channel := range everyChannel {
			_ = l.send(channel, []byte{0x0a, 0x02, 0x08, 0x01}) // on the block channel: "give me block 1"
		}
		if n, err := l.rest(); n != 0 || err != nil {
			t.Errorf("%d bytes after the handshake, %v", n, err)
		}
		if l.info.Network != w.genesis.ChainID {
			t.Errorf("the handshake was with %q", l.info.Network)
		}
		w.eventually("the refusal is counted", func() bool { return h.node.Refusals().Strangers == 1 })
		if got := h.node.Refusals().Newest; got.ID != newRawPeer(w, "stranger").id || got.Address == "" || got.Reason != "never listed" {
			t.Errorf("the newest refusal is %+v", got)
		}
	})
	t.Run("outbound to another key", func(t *testing.T) {
		// The node does not even say who it is beyond proving its key.
		c, err := trap.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		l, err := squatter.shake(c)
		if err == nil {
			t.Fatalf("the node told a stranger about itself: %+v", l.info)
		}
		if l != nil {
			if n, err := l.rest(); n != 0 || err != nil {
				t.Errorf("%d bytes after the handshake, %v", n, err)
			}
		}
	})
	t.Run("outbound, removed meanwhile", func(t *testing.T) {
		c, err := trap.Accept()
		if err != nil {
			t.Fatal(err)
		}
		h.list(h.member)
		l, err := victim.shake(c)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := l.rest(); n != 0 || err != nil {
			t.Errorf("%d bytes after the handshake, %v", n, err)
		}
		if peers := h.node.Status().Peers; len(peers) != 0 {
			t.Errorf("peers %+v", peers)
		}
	})
	h.submit("still well")
	w.commits("still well", h)
}

func TestGarbageInsteadOfAHandshakeIsRefusedAndCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 0)
	w.start()
	h := w.hosts[0]
	w.settled(w.hosts...)
	garbage := map[string]func(net.Conn){
		"nothing":     func(c net.Conn) {},
		"text":        func(c net.Conn) { _, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
		"zeros":       func(c net.Conn) { _, _ = c.Write(make([]byte, 1<<16)) },
		"a huge size": func(c net.Conn) { _, _ = c.Write([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}) },
		"no NodeInfo": func(c net.Conn) {
			_, _ = conn.MakeSecretConnection(c, cmted25519.PrivKey(key("garbage")))
		},
		"a foreign NodeInfo": func(c net.Conn) {
			r := newRawPeer(w, "foreign")
			r.world = &world{t: t, genesis: Genesis{ChainID: "another"}}
			_, _ = r.shake(c)
		},
		"a borrowed id": func(c net.Conn) {
			r := newRawPeer(w, "borrower")
			r.id = w.hosts[1].member.ID
			_, _ = r.shake(c)
		},
	}
	before := h.node.Refusals().Handshakes
	var all sync.WaitGroup
	for name, send := range garbage {
		all.Go(func() {
			c, err := net.Dial("tcp", h.member.Addresses[0])
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			send(c)
			c.Close()
		})
	}
	all.Wait()
	w.eventually("all attempts are counted", func() bool {
		return h.node.Refusals().Handshakes >= before+uint64(len(garbage))
	})
	h.submit("still well")
	w.commits("still well", w.hosts...)
}
