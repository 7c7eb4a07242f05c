package main

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/node"
)

// control answers questions about a node, by net/rpc.
type control struct {
	ledger *ledger
	node   *node.Node
}

// None stands for no arguments.
type None struct{}

// Status is how a node is.
type Status struct {
	// Height is that of the newest committed block.
	Height int64
	// Peers is how many nodes it is connected to.
	Peers int
	// Gossips says whether it takes and spreads transactions.
	Gossips bool
}

// Block is what a node has stored of a block.
type Block struct {
	// Time is that of the header.
	Time time.Time
	// IDs are the SHA-256 hashes of the transactions, in order, one after the other.
	IDs []byte
	// Bytes is the size of the transactions together.
	Bytes int64
}

// Status says how the node is.
func (c *control) Status(_ None, status *Status) error {
	reactor, ok := c.node.MempoolReactor().(interface{ WaitSync() bool })
	*status = Status{Height: c.ledger.newest(), Peers: c.node.Switch().Peers().Size(), Gossips: ok && !reactor.WaitSync()}
	return nil
}

// Digest returns the digest of the node after a block.
func (c *control) Digest(height int64, digest *[]byte) (err error) {
	*digest, err = c.ledger.digest(height)
	return err
}

// Block returns a block from the engine's store.
func (c *control) Block(height int64, b *Block) error {
	stored := c.node.BlockStore().LoadBlock(height)
	if stored == nil {
		return fmt.Errorf("block %d is not stored", height)
	}
	b.Time = stored.Time
	b.IDs = make([]byte, 0, len(stored.Txs)*sha256.Size)
	for _, tx := range stored.Txs {
		id := sha256.Sum256(tx)
		b.IDs = append(b.IDs, id[:]...)
		b.Bytes += int64(len(tx))
	}
	return nil
}
