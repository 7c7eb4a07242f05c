package pgindex

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"

	"github.com/jackc/pgx/v5"
)

// migrations bring a schema from one version to the next: the first makes version 1 of an empty one. They run with the schema
// as the search path. Append-only.
var migrations = []string{`
CREATE TABLE network (
	only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	version      integer NOT NULL,
	chain_id     text    NOT NULL,
	genesis_hash bytea   NOT NULL,
	first_height bigint  NOT NULL,
	height       bigint  NOT NULL
);
COMMENT ON TABLE network IS 'Which network this is, and up to which height the other tables have it. One row.';

CREATE TABLE blocks (
	height         bigint      PRIMARY KEY,
	time           timestamptz NOT NULL,
	time_unix_nano bigint      NOT NULL,
	hash           bytea       NOT NULL,
	app_hash       bytea       NOT NULL,
	proposer       text        NOT NULL,
	tx_count       integer     NOT NULL
);

CREATE TABLE transactions (
	height           bigint      NOT NULL,
	tx_index         integer     NOT NULL,
	id               bytea,
	code             integer     NOT NULL,
	reason           text        NOT NULL,
	message          text        NOT NULL,
	failed_operation integer,
	payer            text,
	memo             text,
	expires_at       timestamptz,
	size             integer     NOT NULL,
	time             timestamptz NOT NULL,
	PRIMARY KEY (height, tx_index)
);
CREATE INDEX transactions_id ON transactions (id);

CREATE TABLE operations (
	height   bigint  NOT NULL,
	tx_index integer NOT NULL,
	op_index integer NOT NULL,
	kind     text    NOT NULL,
	account  text    NOT NULL,
	body     jsonb   NOT NULL,
	PRIMARY KEY (height, tx_index, op_index)
);
CREATE INDEX operations_kind ON operations (kind, height);

CREATE TABLE events (
	height      bigint  NOT NULL,
	tx_index    integer NOT NULL,
	event_index integer NOT NULL,
	op_index    integer NOT NULL,
	kind        text    NOT NULL,
	body        jsonb   NOT NULL,
	PRIMARY KEY (height, tx_index, event_index)
);
CREATE INDEX events_kind ON events (kind, height);

CREATE TABLE postings (
	height      bigint      NOT NULL,
	tx_index    integer     NOT NULL,
	event_index integer     NOT NULL,
	side        smallint    NOT NULL,
	account     text        NOT NULL,
	asset       text        NOT NULL,
	amount      numeric(39) NOT NULL,
	held        numeric(39) NOT NULL,
	PRIMARY KEY (height, tx_index, event_index, side)
);
CREATE INDEX postings_account ON postings (account, asset, height);
CREATE INDEX postings_asset ON postings (asset, height);

CREATE TABLE subjects (
	kind     text    NOT NULL,
	name     text    NOT NULL,
	height   bigint  NOT NULL,
	tx_index integer NOT NULL,
	PRIMARY KEY (kind, name, height, tx_index)
);
CREATE INDEX subjects_transaction ON subjects (height, tx_index);
`}

// SchemaVersion is the version that this program makes.
const SchemaVersion = 1

// schemaName is what PostgreSQL takes for a name without quoting it.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// position is how far the schema has got.
type position struct {
	first, height uint64
}

// next is the height to be written next.
func (p position) next() uint64 { return max(p.first, p.height+1) }

// prepare makes or migrates the schema, checks that it is this network's, and returns where it stands.
func (x *Indexer) prepare(ctx context.Context, conn *pgx.Conn) (at position, err error) {
	err = pgx.BeginFunc(ctx, conn, func(t pgx.Tx) error {
		// Two programs that begin at the same time do so one after the other.
		if _, err := t.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockNumber(x.cfg.Schema)); err != nil {
			return err
		}
		version, err := x.version(ctx, t)
		if err != nil {
			return err
		}
		if version > len(migrations) {
			return fmt.Errorf("%w: %s has version %d, this program knows %d", ErrNewerSchema, x.cfg.Schema, version, len(migrations))
		}
		if version < len(migrations) {
			if err := x.migrate(ctx, t, version); err != nil {
				return err
			}
		}
		at, err = x.identify(ctx, t)
		return err
	})
	if err != nil {
		return position{}, fmt.Errorf("prepare schema %s: %w", x.cfg.Schema, err)
	}
	return at, nil
}

// lockNumber is a number for the schema that other programs hardly use.
func lockNumber(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("althing/pgindex/" + schema))
	return int64(h.Sum64())
}

// version returns the version of the schema, 0 where it is empty or not there.
func (x *Indexer) version(ctx context.Context, t pgx.Tx) (version int, err error) {
	var ours, tables, exists bool
	err = t.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL, EXISTS (SELECT FROM pg_tables WHERE schemaname = $2),
		EXISTS (SELECT FROM pg_namespace WHERE nspname = $2)`,
		x.table("network").Sanitize(), x.cfg.Schema).Scan(&ours, &tables, &exists)
	switch {
	case err != nil:
		return 0, err
	case !ours && tables:
		return 0, fmt.Errorf("%w: choose another name than %s", ErrForeignSchema, x.cfg.Schema)
	case !exists:
		_, err = t.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{x.cfg.Schema}.Sanitize())
		return 0, err
	case !ours:
		return 0, nil
	}
	err = t.QueryRow(ctx, "SELECT version FROM "+x.table("network").Sanitize()).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("%w: the table network of %s has no row", ErrForeignSchema, x.cfg.Schema)
	}
	return version, err
}

// migrate brings the schema to the newest version.
func (x *Indexer) migrate(ctx context.Context, t pgx.Tx, version int) error {
	if _, err := t.Exec(ctx, "SET LOCAL search_path TO "+pgx.Identifier{x.cfg.Schema}.Sanitize()); err != nil {
		return err
	}
	for i, statements := range migrations[version:] {
		if _, err := t.Exec(ctx, statements); err != nil {
			return fmt.Errorf("migrate to version %d: %w", version+i+1, err)
		}
	}
	network := x.table("network").Sanitize()
	if version > 0 {
		_, err := t.Exec(ctx, "UPDATE "+network+" SET version = $1", len(migrations))
		return err
	}
	first := max(x.cfg.From, 1)
	_, err := t.Exec(ctx, "INSERT INTO "+network+" (version, chain_id, genesis_hash, first_height, height) VALUES ($1, $2, $3, $4, $5)",
		len(migrations), x.cfg.ChainID, x.cfg.GenesisHash, int64(first), int64(first-1))
	return err
}

// identify reads where the schema stands and refuses one of another network.
func (x *Indexer) identify(ctx context.Context, t pgx.Tx) (position, error) {
	var chainID string
	var genesis []byte
	var first, height int64
	err := t.QueryRow(ctx, "SELECT chain_id, genesis_hash, first_height, height FROM "+x.table("network").Sanitize()).
		Scan(&chainID, &genesis, &first, &height)
	switch {
	case err != nil:
		return position{}, err
	case chainID != x.cfg.ChainID || !bytes.Equal(genesis, x.cfg.GenesisHash):
		return position{}, fmt.Errorf("%w: it has %.80s with genesis %x, this is %s with %x: choose another schema or database",
			ErrOtherNetwork, chainID, genesis, x.cfg.ChainID, x.cfg.GenesisHash)
	case x.cfg.From > 0 && uint64(first) != x.cfg.From:
		return position{}, fmt.Errorf("%w: the schema begins at height %d, not at %d: leave the first height out, or choose another schema",
			ErrConfig, first, x.cfg.From)
	}
	return position{first: uint64(first), height: uint64(height)}, nil
}

func (x *Indexer) table(name string) pgx.Identifier { return pgx.Identifier{x.cfg.Schema, name} }
