// Package state keeps everything a node must not lose: the versioned
// key-value state of the ledger, the data that answers queries about it, and
// the stores of the consensus engine.
//
// It owns one Pebble database, and in it
//
//   - one IAVL tree. The version of the tree is the block height, its root is
//     the app hash. It serves roots and views at past heights;
//   - a flat copy of the newest version, which serves reads and execution;
//   - local data: indexes and results that are not part of the app hash;
//   - the databases of the consensus engine ([Store.CometDB]).
//
// keyspace.go shows every key prefix on one page. Nothing else in the project
// imports the tree or the database.
//
// # A block
//
// The caller reads through a [View], collects writes in an [Overlay], and
// hands them over:
//
//	view := store.Latest()
//	block := state.NewOverlay(view)
//	// ... execute; one nested overlay per transaction, committed or discarded
//	root, err := store.Stage(height, blockTime, block, local) // no write
//	err = store.Commit()                                      // one atomic batch
//	view.Release()
//
// Only net changes reach the tree, each key once, in ascending order: the root
// of an IAVL tree depends on the order of operations and changes when an equal
// value is written again. A block without net changes has the root of its
// predecessor.
//
// # Invariants
//
//   - Tree, flat view, local data, height, time and root of a block are in one
//     batch: after a crash they are all there or all missing.
//   - Every write passes one function. After a write has failed the store is
//     dead: all later writes return [ErrStoreFailed], and what is on disk is
//     the state before or after that write.
//   - An error of the database is never turned into "absent" or into the end
//     of a scan.
//   - A height that has been pruned is never readable again, and one that a
//     [View] was opened for stays readable until the view is released.
//
// # Goroutines
//
// Stage and Commit belong to one goroutine at a time (the one that executes
// blocks). Everything else may be called from any goroutine; views share no
// lock with the writer. [Store.Run] does background work and belongs to the
// parent's error group. See DESIGN.md for the argument.
package state
