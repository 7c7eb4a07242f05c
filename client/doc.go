// Package client is the Go SDK: it builds and signs transactions, submits them exactly once, waits for what becomes of them,
// reads the state and watches blocks, through whichever node of a network answers.
//
// A [Network] is the network file that `althing testnet up` writes: which ledger it is, where its nodes are, where the keys
// lie. [Dial] makes a [Client] of it. [Client.Send] is the shortest way to a committed transaction; [Client.Build],
// [Transaction.Sign] and [Client.SubmitAndWait] are its parts, for signatures that come from several places. The read
// services are the generated gRPC clients: [Client.Accounts], [Client.Assets], [Client.Records], [Client.Membership],
// [Client.Governance].
//
// What holds:
//
//   - A node is asked for its chain id and genesis hash before anything else is sent over a new connection; one of another
//     network gets nothing.
//   - A call goes to one node and moves on when that one cannot be reached. This is safe for every call there is: reads
//     change nothing, and a transaction is applied once however often it is sent.
//   - Reads that ask for no height are not older than anything this client has seen: it reads its own writes.
//   - A status that is called final is final. What cannot be known is an error, [Undecided], that says so.
//   - Every try is bounded by [Config.AttemptTimeout] and every call by its context.
//
// Errors are [*Refused], [*Full], [*Unreachable], [*Undecided], the kinds of [ErrorKind], or gRPC statuses; status.Code
// understands all that came from a node.
//
// A Client is safe for concurrent use and starts no goroutine that outlives a call, save those of its gRPC connections,
// which end with Close. A [Transaction] is not safe for concurrent use while it is being signed. The package imports
// the wire contract, keys and gRPC, and nothing of a node.
package client
