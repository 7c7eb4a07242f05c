package exec

// Reader reads state.
type Reader interface {
	// Get returns the value of key, or nil and no error if there is none. An error is an I/O failure, corruption or a gap in a
	// proof, and always fatal to the caller. The slice must not be modified and is valid as long as the view at the base.
	Get(key []byte) ([]byte, error)
}

// Writer buffers writes of state.
type Writer interface {
	// Set makes value the value of key. Both are copied. Key and value must not be empty: an empty value cannot be proven. An
	// empty one is a programming error, which the store reports.
	Set(key, value []byte)
	// Delete removes key. Deleting what is absent is allowed.
	Delete(key []byte)
}

// KV is what the store of a module writes to: the write buffer of a transaction or of the genesis block.
type KV interface {
	Reader
	Writer
}

// Scanner reads single keys and ranges of keys in order. A view of a committed height implements it; a write buffer does
// not, so that no operation can come to depend on the length of a list.
type Scanner interface {
	Reader
	// Scan calls fn for the keys from start (inclusive) to end (exclusive) in ascending order until it returns false or an
	// error, which Scan returns. Key and value are valid during the call only.
	Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error
}
