package exec

import "github.com/althing-ledger/althing/state"

// KV is what the store of a module writes to: the write buffer of a transaction or of the genesis block.
type KV interface {
	state.Reader
	state.Writer
}

// Scanner reads single keys and ranges of keys in order. A view of a committed height implements it; a write buffer does
// not, so that no operation can come to depend on the length of a list.
type Scanner interface {
	state.Reader
	// Scan calls fn for the keys from start (inclusive) to end (exclusive) in ascending order until it returns false or an
	// error, which Scan returns. Key and value are valid during the call only.
	Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error
}
