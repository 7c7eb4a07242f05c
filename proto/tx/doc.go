// Package tx owns the envelope of a transaction: how its bytes are read, what is refused before anybody looks at the
// state, which bytes are signed, and what its id is.
//
// Decoding is stricter than protobuf's: unknown fields, repeated singular fields and two members of one oneof are refused
// at every depth, because a node that skips what another understands would fork. So are varints longer than they have to be,
// numbers outside their type, text that is not UTF-8, and more parts than [MaxParts]. The order of fields is free. The bytes
// of the body are hashed as they came; nothing is ever encoded again to be checked. The DESIGN.md of the folder above argues
// all of it.
//
// A [Rejection] is the one error type for bad transactions, here and in every module of the state machine: a stable code
// that is consensus, and a text that is not. Any other error is a failure of the machine, never a verdict.
//
// Everything here is a pure function and safe for concurrent use. A [Tx] is immutable after [Decode].
package tx
