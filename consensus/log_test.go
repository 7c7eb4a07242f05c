package consensus

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/cometbft/cometbft/libs/log"
)

func TestTheEngineIsQuietUnlessSomethingIsWrong(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	handler := slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	w := &watcher{diverged: func(int64, any) {}}
	l := newEngineLogger(slog.New(handler), w)
	peers := l.module("p2p", slog.LevelWarn)
	lazy := log.NewLazySprintf("%d/%d", 7, 0)
	l.Debug("debug")
	l.Info("info", "lazy", lazy)
	l.With("height", 7).Warn("warn", "lazy", lazy)
	l.Error("error", "err", errors.New("why"))
	peers.With("peer", "x").Error("peer gone")
	w.quiet.Store(true)
	l.Error("noise of stopping")
	want := strings.Join([]string{
		"level=WARN msg=warn height=7 lazy=7/0",
		"level=ERROR msg=error err=why",
		"level=WARN msg=\"peer gone\" module=p2p peer=x",
		"",
	}, "\n")
	if out.String() != want {
		t.Errorf("logged\n%swant\n%s", out.String(), want)
	}
}

func TestWithDoesNotShareAttributes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newEngineLogger(slog.New(slog.NewTextHandler(&out, nil)), &watcher{})
	base := l.With("a", 1)
	base.With("b", 2)
	base.With("c", 3).Error("x")
	if s := out.String(); strings.Contains(s, "b=2") || !strings.Contains(s, "a=1 c=3") {
		t.Errorf("logged %s", s)
	}
}
