// Package pgindex copies a network's blocks into PostgreSQL, for those who want SQL: blocks, transactions, their operations and
// events, what they touched, and every movement of an asset. docs/postgres.md has the schema.
//
// An [Indexer] is a client like any other: it is given a stream of blocks, such as [client.Client.Watch], and the address of a
// database. schema.go owns the tables and their migrations, rows.go turns a block into rows, indexer.go writes them and
// outlives the loss of either side.
//
// # Invariants
//
//   - The height that the database has got to is written in the transaction that writes the rows: each block is there once,
//     whatever breaks and whenever. Two indexers of one schema get in each other's way, not in the data's.
//   - A schema belongs to one network, which is known by its genesis hash, for ever.
//   - Rows are a function of the blocks. Nothing in them says when they were written, by whom, or from which node.
//   - Memory is bounded by twice [Config.BatchBytes] and the largest block, whatever the stream holds.
//   - A migration, once released, is never changed; schemas of a newer program are refused.
//
// # Goroutines
//
// [Indexer.Run] may be called once. Height may be called from anywhere. DESIGN.md argues the choices.
package pgindex
