// Package node puts one node together: the state, the state machine, the pool and its gossip, consensus, the API, metrics.
// [Run] is the one place where the rooms meet, and reads from top to bottom.
//
// Invariants:
//
//   - One process runs a home. The lock is held until everything below it has stopped.
//   - What is opened first is closed last; nothing is closed while something above it runs.
//   - When any part ends, the whole node ends, and Run returns the reason: there are no half-alive nodes.
//
// cmd/althing calls Run from its main goroutine; tests run several nodes in one process.
package node
