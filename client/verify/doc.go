// Package verify checks what nodes say of a ledger, from its genesis hash alone.
//
// A [Trust] knows who may sign. It begins with a chain id and a genesis hash and learns every change of the validators from a
// lineage ([Trust.Extend]), each signed by the validators before. With it, [Trust.Header] checks a signed header,
// [Trust.State] the proof of an answer, [Trust.Block] a block, [Trust.Transaction] a transaction with its outcome and events.
// [Receipt] checks a file that has all of it, without a network.
//
// What holds:
//
//   - A header is checked against the validators of its own height, not against any that ever were. More than two thirds of
//     their power must have signed it, and every vote that is included must be right.
//   - No byte is free: whatever is decoded has one encoding, and each part is bound by a hash, a signature or a comparison.
//     DESIGN.md beside this file says what binds what, and what is left to believe.
//   - A [Witness] answers for the keys that are proven and fails with [ErrNotCovered] for all others. A range has no gap.
//   - Nothing panics, and all that is read is bounded before it is decoded, by whoever made it up.
//   - Nothing is learnt from a lineage that is wrong anywhere.
//
// Headers are CometBFT's and are hashed and verified with its own library; proofs of keys are ICS-23 and are verified with that
// library. The package brings neither a database nor a tree nor a network along.
//
// Errors wrap an [ErrorKind]; one is an [*UnknownValidatorsError]. A [Trust] is safe for concurrent use, and so is what it
// returns, which must not be modified.
package verify
