// Package clienttest serves a small ledger over gRPC inside a test process, for tests of programs that use package client.
//
// The ledger is honest: it checks signatures and thresholds, applies operations all or none, remembers ids, and answers
// every service. It is small: one process, one lock, a block for every transaction, no roles, no proofs, no history of
// the state, and none of the code of the real one. What the operations mean in detail is for tests of the real ledger.
//
// Several nodes share one [Ledger]; each can be stopped, started again and made to fail in the ways of [Faults].
package clienttest
