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
	"github.com/althing-ledger/althing/app/membership"
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
	// MembersChanged hears of the registry when the application begins and whenever a block has changed who may connect or
	// vote. It is called from the goroutine of consensus calls and must not block. May be nil.
	MembersChanged func(*membership.Registry)
	// Retain returns the lowest height that something beside consensus still needs, 0 for none: its block and its outcomes, and
	// those of all that follow, are kept. It is called from the goroutine of consensus calls and must not block. May be nil.
	Retain func() uint64
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
	upgrade *governancev1.Upgrade // what is planned, nil for nothing
}

// known returns [ErrNewerRules] when this program does not know the rules of the next block.
func (r *rules) known() error {
	if r.level > FeatureLevel {
		return fmt.Errorf("%w: the next block follows feature level %d, this program knows %d; the members decided: %q",
			ErrNewerRules, r.level, FeatureLevel, r.upgrade.GetNote())
	}
	return nil
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
	repeats  *repeats
	recent   recent

	rules          atomic.Pointer[rules]
	registry       atomic.Pointer[membership.Registry]
	membersChanged func(*membership.Registry)
	retain         func() uint64
	counters       counters

	// The rest belongs to the goroutine of consensus calls.
	tried  *trial  // the last proposal that was executed and found valid
	staged *staged // between FinalizeBlock and Commit
	// evidence is what the engine has handed over for the block that is being decided.
	evidence evidence
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
	a := &App{genesis: cfg.Genesis, store: cfg.Store, log: cfg.Logger, waiters: newWaiters(cfg.MaxWaiters),
		membersChanged: cfg.MembersChanged, retain: cfg.Retain}
	if a.retain == nil {
		a.retain = func() uint64 { return 0 }
	}
	view := a.store.Latest()
	defer view.Release()
	kv, err := a.newest(view)
	if err != nil {
		return nil, err
	}
	if err := a.checkOrigin(view, kv); err != nil {
		return nil, err
	}
	r, err := readRules(kv, view.Height()+1)
	if err != nil {
		return nil, err
	}
	if err := r.known(); err != nil {
		return nil, err
	}
	a.rules.Store(r)
	a.keepAtLeast(r.charter)
	if a.membersChanged == nil {
		a.membersChanged = func(*membership.Registry) {}
	}
	if err := a.loadRegistry(view); err != nil {
		return nil, err
	}

	if a.repeats, err = loadRepeats(view); err != nil {
		return nil, err
	}
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
	cfg.Pool.Dropped = a.waiters.refuse
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

// readRules returns what a state says about the block of a height.
func readRules(kv exec.Reader, height uint64) (*rules, error) {
	reader := governance.Read(kv)
	charter, err := reader.Charter()
	if err != nil {
		return nil, err
	}
	level, err := reader.LevelAt(height)
	if err != nil {
		return nil, err
	}
	upgrade, err := reader.Upgrade()
	if err != nil {
		return nil, err
	}
	return &rules{charter: charter, level: level, limits: governance.Limits(charter), upgrade: upgrade}, nil
}

// authorize says whether the signatures of a transaction authorise it on the newest state, and refuses early what the newest
// state shows to be in vain.
func (a *App) authorize(t *tx.Tx) error {
	view := a.store.Latest()
	defer view.Release()
	var kv exec.Reader = view
	if view.Height() == 0 {
		genesis, err := a.newest(view)
		if err != nil {
			return err
		}
		kv = genesis
	}
	if err := accounts.Authorize(accounts.Read(kv), t); err != nil {
		return err
	}
	if err := checkStored(kv, t, 0, a.rules.Load().charter); err != nil {
		return err
	}
	return a.foresee(view, t)
}

// committed says whether a block holds the transaction. expiresAt is the one in its body.
func (a *App) committed(id tx.ID, expiresAt int64) (bool, error) {
	if a.repeats.rulesOut(id, expiresAt) {
		return false, nil
	}
	view := a.store.Latest()
	defer view.Release()
	entry, err := findEntry(view, id)
	return entry != nil, err
}
