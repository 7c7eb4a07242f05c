// Package client is the Go SDK: it builds and signs transactions, submits them exactly once, waits for what becomes of them,
// reads the state and watches blocks, through whichever node of a network answers.
//
// A [Network] is the network file that `althing testnet up` writes: which ledger it is, where its nodes are, where the keys
// lie. [Dial] makes a [Client] of it. [Client.Send] is the shortest way to a committed transaction; [Client.Build],
// [Transaction.Sign] and [Client.SubmitAndWait] are its parts, for signatures that come from several places. The read
// services are the generated gRPC clients: [Client.Accounts], [Client.Assets], [Client.Records], [Client.Membership],
// [Client.Governance], [Client.Proposals]. [AddNode], [Propose] and the functions beside them make operations that need
// proofs or care. [Client.SubmitAll] submits many at a time, [Client.Receipt] makes the file that proves one transaction for
// ever. A network is also found by a ticket or a genesis document: [ReadNetwork], [NetworkFromTicket], [NetworkFromGenesis].
//
// Where the charter keeps reads to members, [Config.Token] says as whom to read: an account and the key that signs its
// tokens, such as [Network.TokenSource] loads. Submitting needs none; [Client.Send] does, because it looks up which keys the
// ledger lists.
//
// What holds:
//
//   - A node is asked for its chain id and genesis hash before anything else is sent over a new connection; one of another
//     network gets nothing.
//   - A call goes to one node and moves on when that one cannot be reached. This is safe for every call there is: reads
//     change nothing, and a transaction is applied once however often it is sent.
//   - Reads are verified: every answer that can be proven is asked for with its proof and follows, by way of the validators'
//     signatures, from the genesis hash of the network file; that there is no such thing is proven too. A node whose answer
//     does not is reported as a [*Lie], and another one is asked. [Config.Unverified] believes instead.
//   - Reads that ask for no height are not older than anything this client has seen: it reads its own writes. Nor are they
//     older than what more than a third of the network file's nodes report, where there are several to ask.
//   - A status that is called final is final. What cannot be known, or is only one node's word that a transaction failed, is an
//     error, [Undecided], that says so.
//   - A token goes to no node of another network, and in clear nowhere but to loopback and where the network file allows it.
//   - Every try is bounded by [Config.AttemptTimeout] and every call by its context.
//
// Not proven, and therefore the word of the node that answers: its status; the words of an outcome (message, failed operation)
// and the name of a proposer; the signing record in ListValidators; what an open proposal would do; the answers of the history
// service; that a transaction is pending or unknown; and that it was committed, as Submit and WaitTransaction return it, until
// [Client.Transaction] proves it ([Result.Proven]). That it has expired is the word of several nodes, that it was rejected is
// proven: whoever hears it signs anew, and must not pay twice.
//
// Errors are [*Refused], [*Full], [*Denied], [*Unreachable], [*Undecided], [*Lie], the kinds of [ErrorKind], or gRPC statuses; status.Code
// understands all that came from a node.
//
// A Client is safe for concurrent use and starts no goroutine that outlives a call, save those of its gRPC connections,
// which end with Close. A [Transaction] is not safe for concurrent use while it is being signed. The package imports
// the wire contract, keys, gRPC, the verifier and the questions that a state can be asked, and nothing of a node: no database,
// no tree.
package client
