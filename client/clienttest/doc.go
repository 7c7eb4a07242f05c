// Package clienttest serves a small ledger over gRPC inside a test process, for tests of programs that use package client.
//
// The ledger is honest: it checks signatures and thresholds, applies operations all or none, remembers ids, and answers
// every service. It is small: one process, one lock, a block for every transaction, no roles, no proofs, no history of
// the state, and none of the code of the real one. What the operations mean in detail is for tests of the real ledger. Its
// reads can be closed ([Ledger.CloseReads]); proposals pass when more than two thirds of its orgs agree.
//
// It proves nothing, so clients of it are [client.Config.Unverified]; [Network.Dial] sees to that. What checks proofs is tested
// against real nodes, with a [Proxy] before one of them that changes what it answers, and [Mutations] that say how.
//
// Several nodes share one [Ledger]; each can be stopped, started again and made to fail in the ways of [Faults].
package clienttest
