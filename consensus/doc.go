// Package consensus is CometBFT v0.40.0 assembled as a library: it orders the
// transactions of one network and drives one [abci.Application] with the
// decided blocks.
//
// A [Node] is made from a [Config] by [New], which starts nothing, and lives as long as
// [Node.Run]: replay, catching up, following, stopping. Nothing of the engine runs
// after Run has returned; only then may the databases and the application be closed.
//
// Nobody else in the program sees an engine type, except the application its ABCI
// edge. What the engine needs from the rest is small: a [Pool] that says whether a
// block is worth making, a [Gossip] that is handed the raw bytes of transaction
// messages, a [p2p.Registry] that says who may connect, and databases.
//
// Invariants:
//
//   - An idle network makes no blocks: a block is proposed only when the pool wants one, when a
//     proof of misbehaviour waits for one, or to publish a changed application hash (one "proof" block after each block that
//     changed it).
//   - A peer that the registry does not list gets nothing but the handshake, whoever dialled, and
//     nothing it sends reaches a reactor, from the moment it is not listed any more.
//   - The key that signs is the one that votes at that height; a vote that could not be signed is
//     made up for, unless the [Signer] refuses it. No signature leaves before its record is on disk.
//   - When consensus stops by itself, Run returns an error that is
//     [ErrConsensusStopped] and says why; the process must exit (no zombies).
//   - Consensus calls on the application come one at a time, from one goroutine.
//
// Goroutines: New and Run belong to the caller. [Node.Status], [Node.Block],
// [Node.BlockRange], [Node.Progress], [Node.SigningRecord], [Node.Reconciled], [Node.Evictions] and
// [Node.Refusals] may be called from anywhere at any time, and so may [Node.Header],
// [Node.SignedHeader] and [Node.ChangeAt].
//
// DESIGN.md beside this file argues the assembly and every knob.
package consensus
