package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Store is the state of a node. See the package comment for who may call what.
type Store struct {
	cfg  Config
	log  *slog.Logger
	db   *pebble.DB
	lock *pebble.Lock

	values *valueCache

	// writer serialises Stage, Commit and pruning, and guards the fields
	// below it.
	writer sync.Mutex
	tree   *tree
	staged *staged
	floor  Config // KeepHeights and KeepFor that the configuration must not go below

	// mu guards the fields below it. It is held for a few instructions only,
	// never during I/O.
	mu      sync.Mutex
	latest  *snapshot
	history map[uint64]*pastState // open views of past heights
	oldest  uint64
	views   int
	closed  bool
	using   sync.WaitGroup // calls that use the database without a view

	failOnce  sync.Once
	failed    chan struct{} // closed when failure is set
	failure   error
	abandoned atomic.Bool // the database cannot be closed in order

	reclaim chan struct{} // asks Run to give disk space back; never blocks the sender
	counts  counts
	timing  timing
}

// Open opens or creates the state in cfg.Dir. It returns ErrLocked, ErrForeign
// or ErrNewer, ErrAbsent when cfg.ReadOnly and there is nothing, ErrCorrupt
// when the parts do not fit each other. It starts no goroutine of ours; the
// caller runs [Store.Run] and calls [Store.Close].
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := newStore(cfg)
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open state: %w", err), s.closeDatabase())
	}
	return s, nil
}

func newStore(cfg Config) *Store {
	cfg = cfg.withDefaults()
	return &Store{
		cfg:     cfg,
		log:     cfg.Logger,
		values:  newValueCache(cfg.ValueCacheBytes),
		history: make(map[uint64]*pastState),
		failed:  make(chan struct{}),
		reclaim: make(chan struct{}, 1),
	}
}

func (s *Store) open() error {
	if err := s.openDatabase(); err != nil {
		return err
	}
	head, oldest, err := readHeights(s.db)
	if err != nil {
		return err
	}
	version, err := newestVersion(s.db)
	if err != nil {
		return fmt.Errorf("read newest height of the tree: %w", err)
	}
	if uint64(version) != head {
		return errorf(ErrCorrupt, "tree is at height %d, the rest at %d", version, head)
	}
	if s.tree, err = openTree(s.db, version, s.cfg.TreeCacheNodes); err != nil {
		return fmt.Errorf("open tree: %w", err)
	}
	var rec record
	if head > 0 {
		if rec, err = readRecord(s.db, head); err != nil {
			return err
		}
		if root := s.tree.hash(); !bytes.Equal(root, rec.root) {
			return errorf(ErrCorrupt, "root of the tree is %X, recorded is %X", root, rec.root)
		}
	}
	s.oldest = oldest
	s.values.advance(head, nil)
	s.publish(head, rec)
	return nil
}

// openDatabase takes the lock, makes sure that the directory is ours, and
// opens Pebble in it.
func (s *Store) openDatabase() error {
	if err := checkDir(s.cfg); err != nil {
		return err
	}
	if !s.cfg.ReadOnly {
		if err := s.cfg.fs.MkdirAll(s.cfg.Dir, 0o700); err != nil {
			return fmt.Errorf("create directory: %w", err)
		}
	} else if _, err := s.cfg.fs.Stat(s.cfg.Dir); errors.Is(err, fs.ErrNotExist) {
		return errorf(ErrAbsent, "%s does not exist", s.cfg.Dir)
	}
	lock, err := pebble.LockDirectory(s.cfg.Dir, s.cfg.fs)
	if err != nil {
		// Opening the lock file fails with a path; what else fails is the
		// lock itself.
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			return fmt.Errorf("lock directory: %w", err)
		}
		return wrapf(ErrLocked, err, "%s is in use: stop the process that has it open", s.cfg.Dir)
	}
	s.lock = lock

	desc, err := pebble.Peek(s.cfg.Dir, s.cfg.fs)
	if err != nil {
		return fmt.Errorf("examine database: %w", err)
	}
	if !desc.Exists && s.cfg.ReadOnly {
		return errorf(ErrAbsent, "%s holds no state", s.cfg.Dir)
	}
	if desc.Exists && desc.FormatMajorVersion > databaseFormat {
		return errorf(ErrNewer, "database files in %s have format %d and this program reads formats up to %d: run the newer program",
			s.cfg.Dir, desc.FormatMajorVersion, databaseFormat)
	}
	opts := databaseOptions(s.cfg, &databaseLogger{log: s.log, fail: s.fail})
	opts.Lock = lock
	opts.FormatMajorVersion = databaseFormat
	if desc.Exists {
		// Not raised before we know that the database is ours.
		opts.FormatMajorVersion = desc.FormatMajorVersion
	}
	if s.db, err = pebble.Open(s.cfg.Dir, opts); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	fresh, err := checkFormat(s.db, s.cfg.Dir)
	switch {
	case err != nil:
		return err
	case s.cfg.ReadOnly && fresh:
		return errorf(ErrAbsent, "%s holds no state", s.cfg.Dir)
	case s.cfg.ReadOnly:
		return nil
	case fresh:
		err = s.writeFormat()
	}
	if err == nil && desc.Exists {
		err = s.db.RatchetFormatMajorVersion(databaseFormat)
	}
	return err
}

// Close closes the database. Run must have returned and every view must have
// been released; Close reports views that were not. It may be called twice.
func (s *Store) Close() error {
	s.writer.Lock()
	defer s.writer.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.using.Wait()

	var errs []error
	s.mu.Lock()
	if s.views > 0 {
		errs = append(errs, errorf(ErrMisuse, "close state: %d views have not been released", s.views))
	}
	for _, past := range s.history {
		errs = append(errs, past.snap.Close())
	}
	if s.latest.refs > 1 {
		s.latest.refs = 1
	}
	err := s.latest.unref()
	s.mu.Unlock()
	s.values.close()
	return errors.Join(append(errs, err, s.closeDatabase())...)
}

// closeDatabase closes what openDatabase opened.
func (s *Store) closeDatabase() error {
	if s.abandoned.Load() {
		s.log.Error("database is left as it is after a failure", "error", s.failure)
		return nil
	}
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// use keeps Close waiting until done is called. It fails after Close.
func (s *Store) use() (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.using.Add(1)
	return s.using.Done, nil
}

// Height returns the newest committed height, 0 before the first.
func (s *Store) Height() uint64 { return s.head().height }

// AppHash returns the root of the tree at Height: 32 bytes, nil before the
// first commit. The root of an empty tree is the SHA-256 of nothing.
func (s *Store) AppHash() []byte { return bytes.Clone(s.head().root) }

// BlockTime returns the time of the newest committed block, in UTC.
func (s *Store) BlockTime() time.Time { return s.head().time }

// Oldest returns the oldest height whose state can be read, 0 before the first
// commit.
func (s *Store) Oldest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oldest
}

// RetainHeight returns the lowest height whose block must be kept, in the
// sense of CometBFT's retain_height: blocks are kept as long as the state
// they led to. It rises by at most Config.PrunePerCommit per commit, and is 0,
// keep all, when nothing is ever pruned.
func (s *Store) RetainHeight() uint64 {
	if !s.cfg.prunes() {
		return 0
	}
	return s.Oldest()
}

// head describes the newest committed height.
type head struct {
	height uint64
	record
}

func (s *Store) head() head {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest.head
}
