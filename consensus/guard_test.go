package consensus

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	cmtp2p "github.com/cometbft/cometbft/p2p"

	"github.com/althing-ledger/althing/p2p"
)

// There is nothing behind these guards: whatever gets past one panics.
func TestNothingOfAnUnlistedPeerGetsPastAGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	g := guard{p2p.NewDoor(w.hosts[0].registry, nil)}
	reactors := map[string]interface {
		AddPeer(cmtp2p.Peer)
		Receive(cmtp2p.Envelope)
	}{
		"consensus":  &guardedConsensus{nil, g},
		"block sync": &guardedBlocksync{nil, g},
		"evidence":   &guardedEvidence{nil, g, nil},
	}
	stranger, ended, member := newLine(strings.Repeat("0", 40)), newLine(w.hosts[0].member.ID), newLine(w.hosts[0].member.ID)
	close(ended.gone)
	for name, r := range reactors {
		for _, peer := range []*line{stranger, ended} {
			r.AddPeer(peer)
			r.Receive(cmtp2p.Envelope{Src: peer})
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the guard keeps members away as well", name)
				}
			}()
			r.Receive(cmtp2p.Envelope{Src: member})
		}()
	}
}

func TestMisconductIsToldFromMisfortune(t *testing.T) {
	t.Parallel()
	innocent := []any{
		nil, io.EOF, fmt.Errorf("read: %w", io.ErrUnexpectedEOF), net.ErrClosed, io.ErrClosedPipe,
		&net.OpError{Op: "read", Err: os.NewSyscallError("read", errors.New("connection reset by peer"))},
		errors.New("pong timeout"), errors.New("failed to decrypt SecretConnection: message authentication failed"),
	}
	for _, reason := range innocent {
		if why := misconduct(reason); why != "" {
			t.Errorf("%v is held against the peer: %s", reason, why)
		}
	}
	if why := misconduct(errors.New("unknown channel 77")); why != "unknown channel 77" {
		t.Errorf("misconduct = %q", why)
	}
	if why := misconduct(errors.New(strings.Repeat("x", 1<<20))); len(why) == 0 || len(why) > 1000 {
		t.Errorf("a reason of %d bytes for the log", len(why))
	}
}

func TestANodeKnowsWhetherItKeepsUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		next []int64 // what the peers of a node at height 10 work on
		want bool
	}{
		{"nobody has told", nil, false},
		{"as far as we", []int64{11}, true},
		{"one block ahead", []int64{12}, true},
		{"two blocks ahead", []int64{13}, false},
		{"all behind", []int64{1, 5}, true},
		{"one liar of three", []int64{11, 11, 1 << 60}, true},
		{"one of two", []int64{11, 20}, true},
		{"two of three", []int64{11, 20, 20}, false},
	}
	for _, tt := range tests {
		if got := abreast(10, tt.next); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
