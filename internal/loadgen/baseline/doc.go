// Baseline is the yardstick of `althing bench`: the unsigned key-value store that CometBFT ships as its example, on CometBFT's own
// node, in the version and with the engine configuration that Althing uses, under the load of the same generator. What
// Althing reaches on a machine is told as a ratio to this, because the ratio survives a noisy machine. `make bench-baseline`
// runs it.
//
// The program is both the runner and, as `baseline node`, each of the validators that the runner starts. It is no part of
// the althing binary. The runner makes everything in a directory of its own and removes it; nodes end when the runner
// does, however it ends, because they read a pipe from it.
//
//	network.go   the runner: homes, processes, readiness, the end
//	target.go    the [loadgen.Target] of that network
//	workload.go  key=value
//	node.go      a validator: CometBFT's node with the store in its process
//	engine.go    its configuration
//	ledger.go    the store as the engine sees it, and what is remembered of its blocks
//	pool.go      the store's own mempool, for the engine's mempool of type app
//	gate.go      submissions: into the engine's mempool, and answers once they are committed
//	control.go   questions about blocks
//	outbox.go    what waits to be written to a connection
//
// DESIGN.md says what was chosen to make the comparison fair.
package main
