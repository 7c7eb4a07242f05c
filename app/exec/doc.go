// Package exec is what an operation sees while it runs, and how modules lay out values: nothing else is shared between
// the modules of the state machine.
//
// A handler is a plain function of an [Env], a typed store over the transaction's write buffer, and an operation. It
// returns nil, a [tx.Rejection], which becomes the transaction's result, or any other error, which stops the node: a failed
// read never becomes a verdict. Handlers run one at a time, on the consensus goroutine.
package exec
