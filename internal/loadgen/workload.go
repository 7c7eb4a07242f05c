package loadgen

import (
	"context"
	"time"
)

// Workload makes the transactions that a run sends. Each sender is numbered from 0 to Senders-1.
type Workload interface {
	// Describe says what kind of transactions it makes, for the result: `transfer`, `key=value`.
	Describe() string
	// Prepare brings the network into the state that the transactions need, such as accounts that have something to spend. It
	// tells progress how far it is, from one goroutine. It is called once, before everything else.
	Prepare(ctx context.Context, target Target, progress Progress) error
	// Senders is how many senders there are after Prepare, at least one.
	Senders() int
	// Sender describes one.
	Sender(sender int) Sender
	// Make returns the next transaction of a sender: each call another one, valid until expires at least. It is called from
	// several goroutines at once, and may take a while, for it signs.
	Make(sender int, expires time.Time) (Tx, error)
}

// Sender is who sends transactions.
type Sender struct {
	// Org is its organisation, for telling one that floods from the others. May be empty.
	Org string
	// Node is the index of the node that it talks to.
	Node int
}

// Tx is a transaction that is ready to be sent.
type Tx struct {
	ID  ID
	Raw []byte
}

// Progress is told how much of something is done. Total is 0 where it is not known.
type Progress func(phase string, done, total int)
