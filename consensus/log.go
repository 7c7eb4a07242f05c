package consensus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/cometbft/cometbft/libs/log"
	cmtp2p "github.com/cometbft/cometbft/p2p"
)

// engineLogger gives the engine's messages to slog. The engine is talkative: what it
// calls info is debug to us. Attributes are only collected until a message is wanted.
type engineLogger struct {
	to      *slog.Logger
	watcher *watcher
	attrs   []any
	errorAs slog.Level // what an error of this part of the engine means to the node
}

// watcher looks at what the engine says about its own end. There is no other way to
// learn why consensus stopped: the engine recovers from the panic, writes one line and carries on
// with everything else.
type watcher struct {
	quiet    atomic.Bool                 // stopping: errors are part of the noise
	reason   atomic.Pointer[string]      // of the consensus failure
	diverged func(height int64, why any) // called when block sync finds that we are on our own
	rejected func(why error)             // called when an inbound handshake fails
}

const (
	// failureMessage is what the engine says when consensus has stopped by itself
	// (consensus/state.go, receiveRoutine).
	failureMessage = "CONSENSUS FAILURE!!!"
	// validationMessage is what block sync says about a block it cannot apply
	// (blocksync/reactor.go, handleValidationFailure).
	validationMessage = "Error in validation"
	// rejectedMessage is what the switch says about an inbound connection that did not get as far as
	// to the peer filter (p2p/switch.go, acceptRoutine).
	rejectedMessage = "Inbound Peer rejected"
	// divergedError begins the error for a block whose header contradicts our state
	// (state/validation.go). Block sync checks the commit first, so the block is
	// signed by two thirds, and it is us who are wrong.
	divergedError = "wrong Block.Header."
)

func newEngineLogger(to *slog.Logger, w *watcher) *engineLogger {
	return &engineLogger{to: to, watcher: w, errorAs: slog.LevelError}
}

// module returns a logger for one part of the engine.
func (l *engineLogger) module(name string, errorAs slog.Level) *engineLogger {
	return &engineLogger{to: l.to.With("module", name), watcher: l.watcher, errorAs: errorAs}
}

func (l *engineLogger) Debug(msg string, keyvals ...any) { l.log(slog.LevelDebug-1, msg, keyvals) }
func (l *engineLogger) Warn(msg string, keyvals ...any)  { l.log(slog.LevelWarn, msg, keyvals) }

func (l *engineLogger) Info(msg string, keyvals ...any) {
	if msg == rejectedMessage {
		if why, ok := value(keyvals, "err").(cmtp2p.ErrRejected); ok && !why.IsSelf() && !why.IsDuplicate() {
			l.watcher.rejected(why)
		}
	}
	l.log(slog.LevelDebug, msg, keyvals)
}

func (l *engineLogger) Error(msg string, keyvals ...any) {
	switch msg {
	case failureMessage:
		why := fmt.Sprint(value(keyvals, "err"))
		l.watcher.reason.CompareAndSwap(nil, &why)
	case validationMessage:
		why := value(keyvals, "err")
		height, _ := value(keyvals, "height").(int64)
		if strings.HasPrefix(fmt.Sprint(why), divergedError) {
			l.watcher.diverged(height, why)
		}
	}
	l.log(l.errorAs, msg, keyvals)
}

func (l *engineLogger) With(keyvals ...any) log.Logger {
	c := *l
	c.attrs = append(c.attrs[:len(c.attrs):len(c.attrs)], keyvals...)
	return &c
}

func (l *engineLogger) log(level slog.Level, msg string, keyvals []any) {
	if l.watcher.quiet.Load() {
		level = min(level, slog.LevelDebug)
	}
	ctx := context.Background()
	if !l.to.Enabled(ctx, level) {
		return
	}
	l.to.Log(ctx, level, msg, append(plain(l.attrs), plain(keyvals)...)...)
}

// plain makes values printable that the engine formats lazily, whatever the handler.
func plain(keyvals []any) []any {
	out := make([]any, len(keyvals))
	for i, v := range keyvals {
		if s, ok := v.(fmt.Stringer); ok && i%2 == 1 {
			v = s.String()
		}
		out[i] = v
	}
	return out
}

// value returns the value of a key in a list of keys and values, or nil.
func value(keyvals []any, key string) any {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if keyvals[i] == key {
			return keyvals[i+1]
		}
	}
	return nil
}
