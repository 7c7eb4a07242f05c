// Package app is the state machine of the ledger: it turns decided blocks into state, and nothing but the blocks decides
// what the state is.
//
// The rooms inside: [App] is the ABCI edge, which the consensus engine calls. block.go is one block: who is admitted to it
// (admit.go), what its transactions do (deliver.go, the one switch over operations), and what is remembered of them (ids.go
// in the tree, results.go beside it). The modules below this directory own the rules of their nouns. waiters.go tells
// callers what became of their transactions, read.go answers questions about them.
//
// # Invariants
//
//   - The app hash, the codes and the events are a function of the genesis document and the blocks. Nothing here reads a
//     clock, draws a number, ranges over a map into state, or looks at a file. A test enforces it.
//   - An admitted transaction leaves either all of its effects or none. Its id is remembered in both cases.
//   - A transaction that is not admitted leaves nothing, not even its id.
//   - A block without transactions changes nothing in the tree.
//   - A failure of the disk is an error of the call, which stops the node. It never becomes a transaction's result.
//   - What waiters and readers see has been committed on this node's disk, as far as the store promises.
//
// # Goroutines
//
// The engine makes one consensus call at a time, from one goroutine. Everything else on [App] may be called from anywhere.
// DESIGN.md argues the pipeline.
package app
