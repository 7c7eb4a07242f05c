package pgindex

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
)

// An ErrorKind says why an indexer cannot go on. Test for it with errors.Is.
type ErrorKind string

func (k ErrorKind) Error() string { return string(k) }

const (
	// ErrConfig is returned for a configuration that cannot work, such as a schema that begins at another height.
	ErrConfig = ErrorKind("the index cannot be kept like this")
	// ErrOtherNetwork is returned when the schema holds blocks of another network.
	ErrOtherNetwork = ErrorKind("the schema belongs to another network")
	// ErrNewerSchema is returned when a newer program has changed the schema.
	ErrNewerSchema = ErrorKind("the schema was made by a newer version of this program")
	// ErrForeignSchema is returned when the schema has tables of something else.
	ErrForeignSchema = ErrorKind("the schema holds tables that this program did not make")
	// ErrBlock is returned for a block that contradicts itself or the one before.
	ErrBlock = ErrorKind("the block makes no sense")

	// errMoved says that somebody else has written to the schema. The indexer looks where it stands and goes on from there.
	errMoved = ErrorKind("another indexer has written to the schema")
)

// streamError is what ended the stream of blocks.
type streamError struct{ error }

func (e streamError) Unwrap() error { return e.error }

// transient reports whether it is worth while to try again.
func transient(err error) bool {
	for _, kind := range []ErrorKind{ErrConfig, ErrOtherNetwork, ErrNewerSchema, ErrForeignSchema, ErrBlock} {
		if errors.Is(err, kind) {
			return false
		}
	}
	var stream streamError
	if errors.As(err, &stream) {
		return passing(stream.error)
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return true // the connection, or time
	}
	// Classes of PostgreSQL's error codes, appendix A of its manual.
	for _, class := range []string{
		"08",    // connection exception
		"25006", // read-only transaction: a standby that may become the primary
		"40",    // transaction rollback
		"53",    // insufficient resources
		"55P03", // lock not available
		"57",    // operator intervention: the server stops, starts or recovers
		"58",    // system error, such as a full disk
	} {
		if strings.HasPrefix(refused.Code, class) {
			return true
		}
	}
	return false
}

// passing reports whether a stream that ended may go on later. A node that is behind the database is waited for: it is of the
// right network, or the client would not have asked it.
func passing(err error) bool {
	if errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrAnswer) {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.OutOfRange, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted, codes.Canceled:
		return true
	}
	return false
}
