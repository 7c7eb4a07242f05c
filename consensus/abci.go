package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	abcicli "github.com/cometbft/cometbft/abci/client"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/libs/service"
	"github.com/cometbft/cometbft/proxy"
)

// progress is a block that the application has committed.
type progress struct {
	height  int64
	time    time.Time
	appHash []byte
}

// application drives the caller's application and notes how far it has come and why it
// failed. The engine's connections to it are all in process and take no lock.
type application struct {
	app     abci.Application
	genesis Genesis
	fail    func(error) // told of failures that would take the process down

	executed  progress // by FinalizeBlock, until Commit; owned by the goroutine that executes
	committed atomic.Pointer[progress]
	failure   atomic.Pointer[error] // the first error or panic of a consensus call
	busy      atomic.Pointer[call]  // the consensus call under way, nil between calls
	syncing   atomic.Bool           // block sync executes, not consensus

	attendance attendance

	// proofs finds the evidence of a block that is about to be executed. Set before the first call.
	proofs func(*abci.RequestFinalizeBlock) ([][]byte, error)
}

// call is a consensus call under way.
type call struct {
	name  string
	since time.Time
}

// begin notes a consensus call and returns what ends it, to be deferred before note: a failed
// call has ended too.
func (a *application) begin(name string) func() {
	a.busy.Store(&call{name, time.Now()})
	return func() { a.busy.Store(nil) }
}

func newApplication(app abci.Application, genesis Genesis, fail func(error)) *application {
	a := &application{app: app, genesis: genesis, fail: fail}
	a.committed.Store(&progress{})
	return a
}

// connect returns the engine's connections to the application, which are all the same
// one. The engine's own set of connections also kills the process when one of them ends.
func (a *application) connect() connections {
	c := &connection{Application: a.app, application: a}
	c.BaseService = *service.NewBaseService(nil, "application", c)
	return connections{connection: c}
}

// failed returns the first failure of the application, or nil.
func (a *application) failed() error {
	if err := a.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// note is deferred around the calls that must not fail. It remembers an error or a
// panic and lets it go on to the engine, which then stops.
//
// Block sync does not stop but takes the process down from a goroutine of its own, and
// with it the chance to say why and to close anything. So there the executing goroutine ends
// here, as if it had been cancelled: its deferred calls run, and Run returns the reason.
func (a *application) note(call string, err *error) {
	v := recover()
	var failure error
	switch {
	case v != nil:
		failure = fmt.Errorf("application panicked in %s: %v", call, v)
	case *err != nil:
		failure = fmt.Errorf("application failed in %s: %w", call, *err)
	default:
		return
	}
	a.failure.CompareAndSwap(nil, &failure)
	if a.syncing.Load() {
		a.fail(fmt.Errorf("%w while catching up: %w", ErrConsensusStopped, failure))
		runtime.Goexit()
	}
	if v != nil {
		panic(v)
	}
}

// connections implements the engine's set of connections.
type connections struct{ *connection }

var _ proxy.AppConns = connections{}

// Mempool implements the engine's AppConns.
func (c connections) Mempool() proxy.AppConnMempool {
	return proxy.NewAppConnMempool(c.connection, proxy.NopMetrics())
}

// Consensus implements the engine's AppConns.
func (c connections) Consensus() proxy.AppConnConsensus {
	return proxy.NewAppConnConsensus(c.connection, proxy.NopMetrics())
}

// Query implements the engine's AppConns. It hides the application's method of this name.
func (c connections) Query() proxy.AppConnQuery {
	return proxy.NewAppConnQuery(c.connection, proxy.NopMetrics())
}

// Snapshot implements the engine's AppConns.
func (c connections) Snapshot() proxy.AppConnSnapshot {
	return proxy.NewAppConnSnapshot(c.connection, proxy.NopMetrics())
}

// connection is one of the engine's connections to the application. Calls that are not
// listed here go straight through.
type connection struct {
	abci.Application
	service.BaseService
	application *application
}

var _ abcicli.Client = (*connection)(nil)

// errUnused is the answer to what this assembly never asks.
var errUnused = errors.New("this connection carries consensus calls only")

// Info lets the genesis decide the feature level of the first block: the application's
// state is empty then.
func (c *connection) Info(ctx context.Context, req *abci.RequestInfo) (*abci.ResponseInfo, error) {
	res, err := c.app().Info(ctx, req)
	if err != nil {
		return nil, err
	}
	if res.LastBlockHeight == 0 {
		first := *res
		first.AppVersion = c.application.genesis.FeatureLevel
		return &first, nil
	}
	return res, nil
}

// InitChain hands over the genesis state as it was configured.
func (c *connection) InitChain(ctx context.Context, req *abci.RequestInitChain) (res *abci.ResponseInitChain, err error) {
	defer c.application.begin("InitChain")()
	defer c.application.note("InitChain", &err)
	with := *req
	with.AppStateBytes = c.application.genesis.AppState
	return c.app().InitChain(ctx, &with)
}

func (c *connection) FinalizeBlock(ctx context.Context, req *abci.RequestFinalizeBlock) (res *abci.ResponseFinalizeBlock, err error) {
	defer c.application.begin("FinalizeBlock")()
	defer c.application.note("FinalizeBlock", &err)
	if keeper, ok := c.app().(EvidenceKeeper); ok && len(req.Misbehavior) > 0 {
		proofs, err := c.application.proofs(req)
		if err != nil {
			return nil, err
		}
		keeper.KeepEvidence(req.Height, proofs)
	}
	res, err = c.app().FinalizeBlock(ctx, req)
	if err == nil {
		c.application.attendance.note(req.DecidedLastCommit)
		c.application.executed = progress{height: req.Height, time: req.Time, appHash: bytes.Clone(res.AppHash)}
	}
	return res, err
}

func (c *connection) Commit(ctx context.Context, req *abci.RequestCommit) (res *abci.ResponseCommit, err error) {
	defer c.application.begin("Commit")()
	defer c.application.note("Commit", &err)
	res, err = c.app().Commit(ctx, req)
	if err == nil {
		done := c.application.executed
		c.application.committed.Store(&done)
	}
	return res, err
}

func (c *connection) PrepareProposal(ctx context.Context, req *abci.RequestPrepareProposal) (res *abci.ResponsePrepareProposal, err error) {
	defer c.application.begin("PrepareProposal")()
	defer c.application.note("PrepareProposal", &err)
	return c.app().PrepareProposal(ctx, req)
}

func (c *connection) ProcessProposal(ctx context.Context, req *abci.RequestProcessProposal) (res *abci.ResponseProcessProposal, err error) {
	defer c.application.begin("ProcessProposal")()
	defer c.application.note("ProcessProposal", &err)
	return c.app().ProcessProposal(ctx, req)
}

func (c *connection) app() abci.Application { return c.Application }

// Error implements the engine's client interface: in process there is no transport to fail.
func (c *connection) Error() error { return nil }

// Flush implements the engine's client interface: nothing is buffered.
func (c *connection) Flush(context.Context) error { return nil }

// Echo implements the engine's client interface.
func (c *connection) Echo(_ context.Context, message string) (*abci.ResponseEcho, error) {
	return &abci.ResponseEcho{Message: message}, nil
}

// SetResponseCallback implements the engine's client interface: nothing is asynchronous.
func (c *connection) SetResponseCallback(abcicli.Callback) {}

// CheckTxAsync implements the engine's client interface. Transactions enter through the
// pool, never through the engine.
func (c *connection) CheckTxAsync(context.Context, *abci.RequestCheckTx) (*abcicli.ReqRes, error) {
	return nil, errUnused
}
