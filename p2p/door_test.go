package p2p

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheDoorSaysWhyAndCounts(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry([]Member{testMember(1), testMember(2)})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Set([]Member{testMember(1)}, Gone{Name: "org2-1", Reason: "org org2 suspended: fraud"}); err != nil {
		t.Fatal(err)
	}
	d := NewDoor(r, nil)
	if err := d.Admit(testID(1), "10.0.0.1:1"); err != nil {
		t.Errorf("a member is refused: %v", err)
	}
	tests := []struct{ id, name, reason string }{
		{testID(3), "", "never listed"},
		{testID(2), "org2-1", "org org2 suspended: fraud"},
	}
	for i, tt := range tests {
		if err := d.Admit(tt.id, "10.0.0.9:1"); !errors.Is(err, ErrNotMember) || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("Admit(%s): %v, want %v: %s", tt.id, err, ErrNotMember, tt.reason)
		}
		got := d.Refusals()
		if n := got.Newest; got.Strangers != uint64(i+1) || n.ID != tt.id || n.Name != tt.name || n.Reason != tt.reason || n.Address != "10.0.0.9:1" {
			t.Errorf("Refusals = %+v", got)
		}
	}
}

func TestAStrangerCannotFillTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := NewRegistry([]Member{testMember(1)})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		d := NewDoor(r, slog.New(slog.NewTextHandler(&out, nil)))
		const knocks = 6000
		for range knocks {
			_ = d.Admit(testID(2), "10.0.0.9:1")
			d.HandshakeFailed(errors.New("garbage"))
			d.Misbehaved(testID(1), testMember(1), "10.0.0.1:1", "garbage")
			time.Sleep(10 * time.Millisecond) // the bubble's clock: a minute in all
		}
		if n := strings.Count(out.String(), "\n"); n > 3*7 {
			t.Errorf("%d lines about a minute of knocking", n)
		}
		if !strings.Contains(out.String(), "refused=1000") || !strings.Contains(out.String(), "name=org1-1 org=org1") {
			t.Errorf("no line says how many it stands for:\n%s", out.String())
		}
		if got := d.Refusals(); got.Strangers != knocks || got.Handshakes != knocks || got.Misbehaved != knocks {
			t.Errorf("Refusals = %+v", got)
		}
	})
}
