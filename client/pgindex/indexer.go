package pgindex

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/semaphore"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

const (
	// writeTimeout is how long one batch, or the look at the schema, may take before the connection is given up.
	writeTimeout = 2 * time.Minute
	// connectTimeout bounds one attempt to connect.
	connectTimeout = 10 * time.Second
	// closeTimeout bounds the farewell.
	closeTimeout = time.Second
	// Pauses between attempts double from the first to the longest.
	firstPause, longestPause = 200 * time.Millisecond, 30 * time.Second
	// queueBlocks is how many blocks wait to be written, within the bytes of a batch.
	queueBlocks = 4096
)

// Config is what an [Indexer] needs.
type Config struct {
	// URL is where the database is: postgres://user@host:port/database?options, or key=value words. What it leaves out comes
	// from PostgreSQL's own variables and files, such as PGPASSWORD and ~/.pgpass. Required.
	URL string
	// Schema is the name of the schema, which is made where it is not there: a-z, 0-9 and _, at most 63 bytes. Default
	// `althing`.
	Schema string
	// ChainID and GenesisHash say which network it is. Required.
	ChainID     string
	GenesisHash []byte
	// Watch yields all blocks from a height on, and ends with an error, as [client.Client.Watch] does. Required.
	Watch func(ctx context.Context, from uint64) iter.Seq2[*ledgerv1.Block, error]
	// From is the first height that an empty schema gets. Default 1. Balances do not add up without the blocks before it.
	From uint64
	// BatchBlocks and BatchBytes bound what is written in one database transaction; a larger block is written by itself. Defaults
	// 1,000 and 16 MiB.
	BatchBlocks int
	BatchBytes  int64
	// Written hears of the height that the database has got to, when it begins and after each batch. It must not block. May be
	// nil.
	Written func(height uint64)
	// Logger hears of connections lost. Default: none.
	Logger *slog.Logger
}

// Indexer keeps one schema of one database up to date.
type Indexer struct {
	cfg      Config
	database *pgx.ConnConfig
	height   atomic.Uint64
	// reached says that the database has been reached once: from then on it is waited for.
	reached bool
	// longest is the longest pause between attempts.
	longest time.Duration
}

// New checks a configuration and connects to nothing. The error is [ErrConfig].
func New(cfg Config) (*Indexer, error) {
	if cfg.Schema == "" {
		cfg.Schema = "althing"
	}
	if cfg.BatchBlocks <= 0 {
		cfg.BatchBlocks = 1000
	}
	if cfg.BatchBytes <= 0 {
		cfg.BatchBytes = 16 << 20
	}
	if cfg.Written == nil {
		cfg.Written = func(uint64) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var problems []error
	if !schemaName.MatchString(cfg.Schema) {
		problems = append(problems, fmt.Errorf("schema %.80q: want a-z, 0-9 and _, at most 63, not beginning with a digit", cfg.Schema))
	}
	if cfg.ChainID == "" || len(cfg.GenesisHash) != 32 || cfg.Watch == nil {
		problems = append(problems, errors.New("the network is not named: it needs a chain id, a genesis hash of 32 bytes and a stream"))
	}
	database, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		problems = append(problems, fmt.Errorf("the database's URL: %w", err))
	} else {
		database.ConnectTimeout = min(connectTimeout, orElse(database.ConnectTimeout, connectTimeout))
		if database.RuntimeParams["application_name"] == "" {
			database.RuntimeParams["application_name"] = "althing"
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &Indexer{cfg: cfg, database: database, longest: longestPause}, nil
}

func orElse(d, other time.Duration) time.Duration {
	if d <= 0 {
		return other
	}
	return d
}

// Height returns the height that the database has got to, as far as this process knows; 0 before it has looked.
func (x *Indexer) Height() uint64 { return x.height.Load() }

// Run writes blocks until the context ends, and then returns nil. It connects again, with growing pauses, when the database or
// the stream goes away, and takes up where the database says it stands. It returns an error when trying again would not help:
// one of the kinds of this package, what PostgreSQL refuses, such as a password or a privilege, or what ended the stream, such
// as a block that no node keeps any more. A database that cannot be reached in the first place is an error too.
func (x *Indexer) Run(ctx context.Context) error {
	pause := firstPause
	for {
		before := x.Height()
		err := x.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !x.reached || !transient(err) {
			return err
		}
		if x.Height() > before {
			pause = firstPause
		}
		// Others wait too: not all of them come back at the same moment.
		wait := pause/2 + rand.N(pause/2)
		x.cfg.Logger.Warn("the index of PostgreSQL stands still", "height", x.Height(), "again_in", wait.Round(time.Millisecond), "reason", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, x.longest)
	}
}

// session writes blocks over one connection until something breaks.
func (x *Indexer) session(ctx context.Context) (err error) {
	conn, err := pgx.ConnectConfig(ctx, x.database)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	x.reached = true
	defer func() {
		// The context may have ended; the server is told all the same.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = conn.Close(closing) // what is committed is committed
	}()
	looking, cancel := context.WithTimeout(ctx, writeTimeout)
	at, err := x.prepare(looking, conn)
	cancel()
	if err != nil {
		return err
	}
	x.stands(at.next() - 1)

	queue := make(chan queued, queueBlocks)
	// One batch is read while another is written.
	room := semaphore.NewWeighted(2 * x.cfg.BatchBytes)
	reading, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer close(queue)
		ended <- x.fetch(reading, at.next(), queue, room)
	}()
	// What was read before the stream ended is written first.
	err = x.writeAll(ctx, conn, at.next(), queue, room)
	stop()
	if why := <-ended; err == nil {
		err = why
	}
	return err
}

func (x *Indexer) stands(height uint64) {
	x.height.Store(height)
	x.cfg.Written(height)
}

// queued is a block that waits to be written, and the room that it takes.
type queued struct {
	block *ledgerv1.Block
	size  int64
}

// fetch reads blocks ahead of the writer, as far as there is room. It returns when the stream ends.
func (x *Indexer) fetch(ctx context.Context, from uint64, queue chan<- queued, room *semaphore.Weighted) error {
	for block, err := range x.cfg.Watch(ctx, from) {
		if err != nil {
			return streamError{err}
		}
		size := min(int64(block.SizeVT())+1, x.cfg.BatchBytes)
		if err := room.Acquire(ctx, size); err != nil {
			return err
		}
		select {
		case queue <- queued{block, size}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return streamError{errors.New("the stream of blocks ended without a reason")}
}

// writeAll writes what is in the queue, as much at once as there is.
func (x *Indexer) writeAll(ctx context.Context, conn *pgx.Conn, next uint64, queue <-chan queued, room *semaphore.Weighted) error {
	for {
		first, more := <-queue
		if !more {
			return nil
		}
		var rows batch
		size, blocks := int64(0), 0
		for one, ok := first, true; ok; {
			if height := one.block.GetHeight(); blocks == 0 && height != next {
				return fmt.Errorf("%w: block %d came where %d was next", ErrBlock, height, next)
			}
			if err := rows.add(one.block); err != nil {
				return err
			}
			size += one.size
			if blocks++; blocks == x.cfg.BatchBlocks || size >= x.cfg.BatchBytes {
				break
			}
			select {
			case one, ok = <-queue:
			default:
				ok = false
			}
		}
		if err := x.write(ctx, conn, &rows); err != nil {
			return fmt.Errorf("write blocks %d to %d: %w", rows.first, rows.last, err)
		}
		room.Release(size)
		next = rows.last + 1
		x.stands(rows.last)
	}
}

// write writes rows and the height they lead to, all or nothing. When the connection breaks while it is being confirmed, only
// the database knows which.
func (x *Indexer) write(ctx context.Context, conn *pgx.Conn, rows *batch) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return pgx.BeginFunc(ctx, conn, func(t pgx.Tx) error {
		// This comes first: it holds the row, so that another indexer waits here, and then finds that it is late.
		done, err := t.Exec(ctx, "UPDATE "+x.table("network").Sanitize()+" SET height = $1 WHERE height = $2", int64(rows.last), int64(rows.first-1))
		if err != nil {
			return err
		}
		if done.RowsAffected() != 1 {
			return errMoved
		}
		for i, table := range tables {
			if len(rows.rows[i]) == 0 {
				continue
			}
			written, err := t.CopyFrom(ctx, x.table(table.name), table.columns, pgx.CopyFromRows(rows.rows[i]))
			if err != nil {
				return fmt.Errorf("%s: %w", table.name, err)
			}
			if written != int64(len(rows.rows[i])) {
				return fmt.Errorf("%s: %d rows written of %d", table.name, written, len(rows.rows[i]))
			}
		}
		return nil
	})
}
