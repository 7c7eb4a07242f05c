// Package grpcapi serves the ledger over gRPC: one service per module, the LedgerService, health and reflection. It
// translates and never decides: what is true is up to the state machine, what may be sent is up to the pool.
//
// A [Server] is made by [New] and serves while [Server.Run] runs. Everything a stranger can make it hold is bounded:
// connections and their streams, the size of messages, the calls of a client per second, the reads that scan, the calls
// that wait, the watchers. Of what all clients share no client has more than a quarter. DESIGN.md has the numbers.
//
// Where the charter closes reads to members, access.go asks for a token before every call that reads, and again before
// every block that a watch sends; the rate limiter comes first. What strangers may call is listed there, and nothing else.
//
// clients.go tells clients apart and divides places among them; limits.go and listener.go keep them to their rate and
// their connections; scan.go is the line in which expensive reads stand, and ends those nobody waits for. prove.go notes what a
// read reads, and proves it.
//
// watch.go streams blocks and what is in them; feed.go reads each block once for all who watch the tip.
//
// errors.go maps every kind of error to its gRPC code. A refused transaction carries a google.rpc.ErrorInfo of the domain
// `althing` whose reason is the name of its code; RESOURCE_EXHAUSTED carries a google.rpc.RetryInfo.
//
// Unlike the rest of app, this package reads the clock: to say what time it is, to bound waits, to settle expiries, to judge
// tokens.
package grpcapi
