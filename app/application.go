package app

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/mempool"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// ErrForeignState is returned by [New] when the store holds the state of another network.
var ErrForeignState = errors.New("the state belongs to another network")

// ErrNewerRules is returned when the ledger follows rules that this program does not know. Executing blocks by older ones
// would fork it off.
var ErrNewerRules = errors.New("the ledger needs a newer version of this program")

// Config is everything an [App] needs.
type Config struct {
	Genesis Genesis
	// Store holds the state. The caller runs and closes it.
	Store *state.Store
	// Verifier bounds the verifier of signatures. The application fills in what follows from the genesis document.
	Verifier mempool.VerifierConfig
	// Pool bounds the pool of pending transactions. The application fills in its own callbacks.
	Pool mempool.Config
	// MaxWaiters bounds the calls that wait for transactions at one time. Default 100,000.
	MaxWaiters int
	// Logger receives what is wrong with proposals of others. Default: none.
	Logger *slog.Logger
}

// rules are what the newest state says about the next block.
type rules struct {
	charter *governancev1.Charter
	level   uint64
	limits  tx.Limits
}

// App is the state machine of one node.
type App struct {
	abci.BaseApplication

	genesis  Genesis
	store    *state.Store
	verifier *mempool.Verifier
	pool     *mempool.Pool
	log      *slog.Logger
	waiters  *waiters

	rules    atomic.Pointer[rules]
	counters counters

	// The rest belongs to the goroutine of consensus calls.
	tried  *trial  // the last proposal that was executed and found valid
	staged *staged // between FinalizeBlock and Commit
}

// New returns the state machine on top of a store, which may be empty. It returns [ErrForeignState] when the store is of
// another network, or an error of the store or of a configuration.
func New(cfg Config) (*App, error) {
	if cfg.MaxWaiters == 0 {
		cfg.MaxWaiters = 100_000
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &App{genesis: cfg.Genesis, store: cfg.Store, log: cfg.Logger, waiters: newWaiters(cfg.MaxWaiters)}
	view := a.store.Latest()
	defer view.Release()
	kv, err := a.newest(view)
	if err != nil {
		return nil, err
	}
	if err := a.checkOrigin(view, kv); err != nil {
		return nil, err
	}
	r, err := readRules(kv)
	if err != nil {
		return nil, err
	}
	a.rules.Store(r)

	cfg.Verifier.ChainID = a.genesis.ChainID
	cfg.Verifier.Validate = CheckOperations
	if a.verifier, err = mempool.NewVerifier(cfg.Verifier); err != nil {
		return nil, err
	}
	cfg.Pool.Verifier = a.verifier
	cfg.Pool.Limits = func() tx.Limits { return a.rules.Load().limits }
	cfg.Pool.MaxExpiry = func() time.Duration { return seconds(a.rules.Load().charter.MaxExpirySeconds) }
	cfg.Pool.StaleBlock = func() time.Duration { return seconds(a.rules.Load().charter.StaleBlockSeconds) }
	cfg.Pool.Authorize = a.authorize
	cfg.Pool.Committed = a.committed
	cfg.Pool.Height, cfg.Pool.BlockTime = view.Height(), view.BlockTime()
	if a.pool, err = mempool.NewPool(cfg.Pool); err != nil {
		return nil, err
	}
	return a, nil
}

func seconds(n uint64) time.Duration { return time.Duration(n) * time.Second }

// Pool returns the pending transactions. The caller runs it.
func (a *App) Pool() *mempool.Pool { return a.pool }

// Genesis returns the document the network started from.
func (a *App) Genesis() Genesis { return a.genesis }

// Charter returns the limits in force. It must not be modified.
func (a *App) Charter() *governancev1.Charter { return a.rules.Load().charter }

// newest returns the newest state in a form that can be executed on: what the view shows or, before the first block, what
// the genesis document says.
func (a *App) newest(view *state.View) (*state.Overlay, error) {
	kv := state.NewOverlay(view)
	if view.Height() > 0 {
		return kv, nil
	}
	if err := a.genesis.write(kv); err != nil {
		return nil, fmt.Errorf("write the genesis state: %w", err)
	}
	return kv, nil
}

// checkOrigin refuses a store that another network has written.
func (a *App) checkOrigin(view *state.View, kv exec.KV) error {
	origin, err := kv.Get(originKey())
	if err != nil {
		return err
	}
	if !bytes.Equal(origin, a.genesis.Hash[:]) {
		return fmt.Errorf("%w: at height %d it began with genesis %x, this node's genesis document has %x",
			ErrForeignState, view.Height(), origin, a.genesis.Hash)
	}
	return nil
}

func readRules(kv state.Reader) (*rules, error) {
	reader := governance.Read(kv)
	charter, err := reader.Charter()
	if err != nil {
		return nil, err
	}
	level, err := reader.FeatureLevel()
	if err != nil {
		return nil, err
	}
	if level > FeatureLevel {
		return nil, fmt.Errorf("%w: the ledger is at feature level %d, this program knows %d", ErrNewerRules, level, FeatureLevel)
	}
	return &rules{charter: charter, level: level, limits: governance.Limits(charter)}, nil
}

// authorize says whether the signatures of a transaction authorise it on the newest state.
func (a *App) authorize(t *tx.Tx) error {
	view := a.store.Latest()
	defer view.Release()
	if view.Height() > 0 {
		return accounts.Authorize(accounts.Read(view), t)
	}
	kv, err := a.newest(view)
	if err != nil {
		return err
	}
	return accounts.Authorize(accounts.Read(kv), t)
}

// committed says whether a block holds the transaction.
func (a *App) committed(id tx.ID) (bool, error) {
	view := a.store.Latest()
	defer view.Release()
	entry, err := findEntry(view, id)
	return entry != nil, err
}
