// Package queries lists the questions that can be asked of a state, by the gRPC methods that ask them: every read of every
// service that can be proven. A node asks them of its database and sends what they read along as a proof; whoever gets the
// answer asks the same question of the proven keys alone, and compares ([Check]).
//
// The questions themselves live in the modules. They are pure functions of a view, so that both sides come to the same answer.
// What a node adds to an answer that no state holds is named beside the question and not compared.
//
// The package knows no database and no engine: clients import it. All of it may be called from any goroutine.
package queries
