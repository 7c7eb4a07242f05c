package grpcapi

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// drifting is an engine whose status the test changes.
type drifting struct {
	noBlocks
	status *atomic.Pointer[EngineStatus]
}

func newDrifting() drifting { return drifting{status: new(atomic.Pointer[EngineStatus])} }

func (d drifting) Status() EngineStatus { return *d.status.Load() }

// set changes the status and waits until health has noticed.
func (d drifting) set(t *testing.T, health healthv1.HealthClient, s EngineStatus) {
	t.Helper()
	d.status.Store(&s)
	want := healthv1.HealthCheckResponse_NOT_SERVING
	if s.Following {
		want = healthv1.HealthCheckResponse_SERVING
	}
	for t.Context().Err() == nil {
		res, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if res.Status == want {
			return
		}
	}
}

var (
	following = EngineStatus{Following: true}
	suspended = EngineStatus{Apart: true, Waiting: "the org acme is suspended since block 7 (fraud): its nodes are not admitted"}
	syncing   = EngineStatus{Apart: true, Waiting: "the other members are ahead", Behind: 12}
	fewVotes  = EngineStatus{Waiting: "validators with more than two thirds of the voting power are not connected: globex-1 are missing"}
)

// TestApart hands transactions to a node that cannot count on getting them into blocks: it says so and has not taken them, sends
// those away who wait, and takes transactions as soon as it follows again.
func TestApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	d := newDrifting()
	d.status.Store(&following)
	conn := dial(t, w.serve(func(c *Config) { c.Engine = d }))
	ledger, health := ledgerv1.NewLedgerServiceClient(conn), healthv1.NewHealthClient(conn)
	held, id, _ := w.create("acme/usd")

	waits := make(chan error, 2)
	go func() {
		_, err := ledger.Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: held, Wait: true})
		waits <- err
	}()
	go func() {
		_, err := ledger.WaitTransaction(t.Context(), &ledgerv1.WaitTransactionRequest{Id: id[:]})
		waits <- err
	}()
	for w.app.Waiting() < 2 && t.Context().Err() == nil {
	}
	for _, engine := range []EngineStatus{suspended, syncing} {
		d.set(t, health, engine)
		raw, other, _ := w.create("acme/eur")
		_, err := ledger.Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
		if reason, retry := whyOf(err); status.Code(err) != codes.Unavailable || reason != "NOT_READY" || retry <= 0 ||
			!strings.Contains(err.Error(), engine.Waiting) || !strings.Contains(err.Error(), "another node") ||
			strings.Contains(err.Error(), "behind by 12 blocks") != (engine.Behind > 0) {
			t.Errorf("submitted: %v", err)
		}
		stream, err := ledger.SubmitStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&ledgerv1.SubmitStreamRequest{Tx: raw}); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || got.RefusedReason != "NOT_READY" || got.RetryAfterMs == 0 {
			t.Errorf("on a stream: %v %v", got, err)
		}
		if w.app.Pool().Pending(other) {
			t.Error("it was taken all the same")
		}
	}
	for range 2 {
		err := <-waits
		if reason, retry := whyOf(err); status.Code(err) != codes.Unavailable || reason != "UNDECIDED" || retry != 0 {
			t.Errorf("who waited: %v", err)
		}
	}
	if !w.app.Pool().Pending(id) {
		t.Error("what was taken before is gone")
	}
	for _, engine := range []EngineStatus{fewVotes, following} {
		raw, other, _ := w.create("acme/gbp")
		d.status.Store(&engine) // nobody has to notice before
		if _, err := ledger.Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw}); err != nil || !w.app.Pool().Pending(other) {
			t.Errorf("with %+v: %v", engine, err)
		}
	}
}

// TestApartFromTheStart: a call that comes before health has looked for the first time judges for itself.
func TestApartFromTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	d := newDrifting()
	d.status.Store(&syncing)
	server, err := New(Config{App: w.app, Engine: d})
	if err != nil {
		t.Fatal(err)
	}
	ledger := &ledgerServer{engine: d, access: server.readers, standing: server.standing, closed: &server.closed}
	if err := ledger.mayTake(t.Context()); !errors.Is(err, ErrNotReady) {
		t.Errorf("behind: %v", err)
	}
	d.status.Store(&following)
	if err := ledger.mayTake(t.Context()); err != nil {
		t.Errorf("following: %v", err)
	}
}

// TestApartForStrangers keeps from strangers what a node waits for.
func TestApartForStrangers(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	d := newDrifting()
	d.status.Store(&syncing)
	conn := dial(t, c.serve(func(cfg *Config) { cfg.Engine, cfg.Now = d, c.clock }))
	ledger := ledgerv1.NewLedgerServiceClient(conn)
	d.set(t, healthv1.NewHealthClient(conn), syncing)
	raw, _, _ := c.create("acme/usd")
	_, err := ledger.Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw})
	if reason, _ := whyOf(err); reason != "NOT_READY" || strings.Contains(err.Error(), "ahead") || strings.Contains(err.Error(), "12") {
		t.Errorf("a stranger: %v", err)
	}
	_, err = ledger.Submit(with(t.Context(), c.token(asIs)), &ledgerv1.SubmitRequest{Tx: raw})
	if reason, _ := whyOf(err); reason != "NOT_READY" || !strings.Contains(err.Error(), "behind by 12 blocks") {
		t.Errorf("a member: %v", err)
	}
}

// TestStanding is the judgement, row by row. What is ready takes transactions.
func TestStanding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	w.serve(func(*Config) {})
	for name, c := range map[string]struct {
		engine       EngineStatus
		ready, takes bool
	}{
		"following":           {following, true, true},
		"suspended":           {suspended, false, false},
		"behind":              {syncing, false, false},
		"too few votes":       {fewVotes, false, true},
		"a wrong clock":       {EngineStatus{Following: true, ClockKnown: true, ClockOffset: time.Hour}, false, true},
		"behind, wrong clock": {EngineStatus{Apart: true, Waiting: "x", ClockKnown: true, ClockOffset: time.Hour}, false, false},
	} {
		got := w.server.standing(c.engine)
		if got.ready != c.ready || got.takes != c.takes || (got.waiting == "") != c.ready {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
