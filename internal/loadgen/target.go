package loadgen

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Target is a network under load. It is made by whoever calls [Run], which closes it not. Its methods may be called from several
// goroutines at once. Every call ends when its context does.
type Target interface {
	// Nodes returns the nodes that take transactions. It is called often and costs nothing; the answer does not change.
	Nodes() []Node
	// Open opens a connection to a node, by its index in Nodes, over which transactions are submitted. The stream ends when ctx
	// does. Run opens several to each node.
	Open(ctx context.Context, node int) (Stream, error)
	// Height returns the height of the newest block of the node that Blocks reads from.
	Height(ctx context.Context) (uint64, error)
	// Blocks yields the blocks of the heights from to to, both included, in ascending order, as a node has them that can be
	// asked: not what other nodes or the answers to submissions have said. The last thing it yields may be an error, with a zero
	// block.
	Blocks(ctx context.Context, from, to uint64) iter.Seq2[Block, error]
	// AppHashes returns the app hash of each node, in the order of Nodes, all after the same block, which is at least the one
	// of the height least; it waits until all nodes have that. What differs is for the caller to see. With a [*Missing] the
	// hashes of the nodes that it does not name are good all the same, and the height is below least where none of them has that.
	// Any other error says that no node could be asked.
	AppHashes(ctx context.Context, least uint64) (height uint64, hashes [][]byte, err error)
}

// Missing is returned by [Target.AppHashes] when some nodes could not be asked for their app hash, or did not get so far.
type Missing struct {
	// Why says it of each, by its index in [Target.Nodes].
	Why map[int]error
}

func (e *Missing) Error() string {
	return fmt.Sprintf("%d nodes cannot be asked for their app hash", len(e.Why))
}

// Node is one node of a [Target].
type Node struct {
	// Name is how results call it.
	Name string
	// Org is the organisation whose transactions go there first. Empty: everybody's alike.
	Org string
	// Process looks at the node's process. Nil where nothing can be known of it.
	Process Process
}

// Process looks at the process of a node, here or through what the node tells of itself.
type Process interface {
	// Sample returns what the process has used until now. It takes no longer than a second.
	Sample(ctx context.Context) (Usage, error)
}

// Usage is what a process has used until a moment. A field that is not known is negative.
type Usage struct {
	// CPU is the processor time since the process began, in user and kernel mode.
	CPU time.Duration
	// RSS is the resident memory in bytes, now.
	RSS int64
	// Disk is the bytes that the node's files take on its disk, now.
	Disk int64
}

// Stream submits transactions to one node. One goroutine calls Send and CloseSend, another one calls Recv.
type Stream interface {
	// Send hands over a transaction. It may block for as long as the node takes no more. An error means that the stream is
	// broken; what was handed over and not answered before is then undecided. raw must not be kept after it returns.
	Send(tag uint64, raw []byte) error
	// CloseSend says that nothing more will be sent. Answers that are due still come.
	CloseSend() error
	// Recv returns the next answer, in whatever order the node gives them. It returns io.EOF after CloseSend when every
	// transaction is answered, any other error when the stream is broken.
	Recv() (Answer, error)
}

// Answer is what a node said of one transaction.
type Answer struct {
	// Tag is the one that was given to Send.
	Tag uint64
	// Status says what the node did. The other fields depend on it.
	Status Status
	// Height is the block of a transaction that stands in one.
	Height uint64
	// Code is 0 for a transaction that was applied, else why it was not. Of committed and refused ones.
	Code uint32
	// Reason names the code or the refusal, for people: a constant such as OVERDRAFT, by which refusals are counted.
	Reason string
	// RetryAfter is how long to wait before the same transaction is sent again. Of busy ones.
	RetryAfter time.Duration
}

// Status is what a node did with a transaction.
type Status uint8

const (
	// Committed: it stands in a block, with a code.
	Committed Status = iota + 1
	// Busy: the node had no room; the same transaction may be sent again after a while.
	Busy
	// Refused: it is in no block and will be in none.
	Refused
	// Undecided: the node does not say what became of it.
	Undecided
)

// ID names a transaction in blocks: the target and the workload agree on what it is, such as the hash of its bytes.
type ID [32]byte

// Block is a block of the network under load.
type Block struct {
	Height uint64
	// Time is that of its header.
	Time time.Time
	// Txs are its transactions, whoever sent them, in order.
	Txs []BlockTx
	// Bytes is the size of its transactions together.
	Bytes int64
}

// BlockTx is a transaction in a block.
type BlockTx struct {
	ID   ID
	Code uint32
}
