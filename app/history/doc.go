// Package history keeps an index, beside consensus, of which transactions touched which organisation, account, asset and
// record.
//
// A [Follower] is told the height of one committed block after the other, asks for what the block contains, and returns what is
// to be written. follow writes that together with the index's cursor, so that a block is in it once or not at all, and [List]
// answers from one view of the store, so that an answer fits the height it names.
//
// # Layout
//
// All keys are local data under [keyspace.LocalHistory], then a byte for the kind:
//
//	0x01 height, page                          format, block time; of up to 64 transactions: id and code
//	0x02 org      0x00 ^height, ^page          which transactions of the block touched it
//	0x03 account  0x00 ^height, ^page          the same
//	0x04 asset    0x00 ^height, ^page          the same
//	0x05 record   0x00 ^height, ^page          the same
//
// Heights have eight bytes and pages two, those of rows four, big endian; ^ is the complement, so that the newest of a subject
// come first.
//
// # Invariants
//
//   - What it keeps is a function of the blocks that its cursor says it has seen.
//   - An answer has all transactions in its range of heights that the index covers; nobody can prove that, the index least
//     of all. Each transaction can be proven by itself.
//   - Entries stay when their blocks are pruned. [follow.Drop] of [Prefixes] drops everything.
//
// # Goroutines
//
// Nothing here has a state of its own: everything may be called from anywhere.
// DESIGN.md argues the layout and has the figures.
package history
