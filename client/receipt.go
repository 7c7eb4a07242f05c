package client

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/althing-ledger/althing/client/verify"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const (
	// maxBetween is how many headers may lie between a transaction and its anchor.
	maxBetween = 10_000
	// headersAtOnce is how many of them are asked for at a time.
	headersAtOnce = 8
)

// ReceiptOptions say what a receipt holds. The zero value is good.
type ReceiptOptions struct {
	// State also proves the keys that the transaction's events name, as they stand after its block. Nodes have that for as long
	// as they keep the state of the block.
	State bool
	// Anchor is the height of a block, before or after the transaction's, that whoever reads the receipt trusts more than the
	// keys of old validators. Its header and all between are put in: at most 10,000. 0 for none.
	Anchor uint64
}

// Receipt returns the file that proves a transaction, its outcome and its events to whoever knows the network's genesis hash,
// for ever and without a network: [verify.Receipt] checks it, and has checked it before this returns.
//
// It waits for the block after the transaction's, within ctx. The error is [ErrReceipt] for a transaction that is in no block,
// as far as the nodes know, and for an anchor that no receipt can lead to; otherwise one of those of a read.
func (c *Client) Receipt(ctx context.Context, id tx.ID, options ReceiptOptions) ([]byte, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	if c.config.Unverified {
		// What is proven for others must hold for this client first.
		verified, err := Dial(c.network, c.verified())
		if err != nil {
			return nil, err
		}
		defer func() { _ = verified.Close() }()
		return verified.Receipt(ctx, id, options)
	}
	answer, err := c.provenTransaction(ctx, id, options.State)
	if err != nil {
		return nil, err
	}
	receipt := &proofv1.Receipt{Format: verify.ReceiptFormat, ChainId: c.network.ChainID, Transaction: answer.Proof}
	genesis, err := c.network.Hash()
	if err != nil {
		return nil, err
	}
	// What the validators signed is the header of the next block.
	block, top, check := answer.Outcome.Height, answer.Proof.Signed, verify.ReceiptOptions{GenesisHash: genesis}
	if options.Anchor != 0 {
		check.AnchorHeight = options.Anchor
		if receipt.Anchor, check.AnchorHash, err = c.anchor(ctx, block, options.Anchor); err != nil {
			return nil, err
		}
		if receipt.Anchor != nil && options.Anchor > block {
			top = receipt.Anchor.Signed
		}
	}
	if receipt.Lineage, err = c.lineageTo(ctx, top); err != nil {
		return nil, err
	}
	file, err := verify.EncodeReceipt(receipt)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	if _, err := verify.Receipt(file, check); err != nil {
		return nil, fmt.Errorf("%w: what the nodes have given does not hold together: %w", ErrReceipt, err)
	}
	return file, nil
}

// bounded gives a call over several questions the time that one question has by default.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.config.Timeout)
}

func (c *Client) verified() Config {
	config := c.config
	config.Unverified = false
	return config
}

// provenTransaction asks one node after the other until one has the transaction in a block.
func (c *Client) provenTransaction(ctx context.Context, id tx.ID, state bool) (*ledgerv1.GetTransactionResponse, error) {
	var told ledgerv1.TxStatus
	for range c.pool.nodes {
		answer, err := c.Ledger().GetTransaction(ctx, &ledgerv1.GetTransactionRequest{Id: id[:], Prove: true, ProveState: state})
		if err != nil {
			return nil, err
		}
		if answer.Proof != nil {
			return answer, nil
		}
		told = answer.Status
		c.pool.advance()
	}
	return nil, fmt.Errorf("%w: transaction %s is in no block that the nodes know (%v): wait until it is committed", ErrReceipt, id, told)
}

// lineageTo returns the lineage of a verified header: who signed it, and whom it announces.
func (c *Client) lineageTo(ctx context.Context, top *proofv1.SignedHeader) (*proofv1.Lineage, error) {
	l := c.pool.lineage
	header, err := l.trust.Header(top)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	known := func() bool {
		return bytes.Equal(header.NextValidatorsHash, header.ValidatorsHash) || l.has(header.Height)
	}
	if !known() {
		err := c.pool.try(ctx, func(ctx context.Context, n *node) error {
			select {
			case l.turn <- struct{}{}:
				defer func() { <-l.turn }()
			case <-ctx.Done():
				return ctx.Err()
			}
			if known() {
				return nil
			}
			return l.learn(ctx, c.pool, n, header.Height)
		})
		if err != nil {
			return nil, fromStatus(err)
		}
	}
	return l.upTo(header.Height), nil
}

// anchor returns what leads from the transaction in a block to the header of another height, and the hash of that one. The
// anchor is nil where the transaction's own proof has that header.
func (c *Client) anchor(ctx context.Context, block, height uint64) (*proofv1.Anchor, []byte, error) {
	header, proof, err := c.provenHeader(ctx, height)
	if err != nil {
		return nil, nil, fmt.Errorf("anchor %d: %w", height, err)
	}
	signed, at := proof.Signed, height
	if len(proof.Header) > 0 {
		at++ // the proof of this block is the next one's header
	}
	low, high := block+2, at // what lies between, the last one excluded
	switch {
	case height == block || height == block+1:
		return nil, header.Hash, nil
	case height < block:
		if at > height {
			// Trust begins at a header with signatures, and that must not be a later one.
			if height == 1 {
				return nil, nil, fmt.Errorf("%w: nodes show block 1 without signatures: take the anchor 2", ErrReceipt)
			}
			if _, proof, err = c.provenHeader(ctx, height-1); err != nil {
				return nil, nil, fmt.Errorf("anchor %d: %w", height, err)
			}
			signed, at = proof.Signed, height
			if len(proof.Header) == 0 {
				at = height - 1
			}
		}
		low, high = at+1, block+1
	}
	if high-low > maxBetween {
		return nil, nil, fmt.Errorf("%w: the anchor %d is %d blocks from the transaction, a receipt holds %d: take a nearer one",
			ErrReceipt, height, high-low, maxBetween)
	}
	anchor := &proofv1.Anchor{Signed: signed, Between: make([][]byte, high-low)}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(headersAtOnce)
	for i := range anchor.Between {
		group.Go(func() error {
			_, proof, err := c.provenHeader(ctx, low+uint64(i))
			if err != nil {
				return fmt.Errorf("header %d: %w", low+uint64(i), err)
			}
			if anchor.Between[i] = proof.Header; len(proof.Header) == 0 {
				anchor.Between[i] = proof.Signed.Header
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return anchor, header.Hash, nil
}

// provenHeader returns a block without its transactions, and the proof of it.
func (c *Client) provenHeader(ctx context.Context, height uint64) (*ledgerv1.Block, *proofv1.BlockProof, error) {
	answer, err := c.Ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{Height: height, HeaderOnly: true, Prove: true})
	if err != nil {
		return nil, nil, err
	}
	return answer.Block, answer.Proof, nil
}

// Attest returns a transaction's outcome as a COSE_Sign1 message that the node which answers signs with its node key. It is that
// node's word, and is not checked here; what needs no trust is [Client.Receipt]. With [Config.Node] it is the word of that node.
func (c *Client) Attest(ctx context.Context, id tx.ID) ([]byte, error) {
	answer, err := c.Ledger().Attest(ctx, &ledgerv1.AttestRequest{Id: id[:]})
	if err != nil {
		return nil, err
	}
	if len(answer.Cose) == 0 {
		return nil, fmt.Errorf("%w: an attestation of no bytes", ErrAnswer)
	}
	return answer.Cose, nil
}

// Lineage returns what tells who may sign, from the genesis document on, as far as this client has had to know: with it
// [verify.Trust] checks proofs that were kept. It is verified, and nil before the first read that was.
func (c *Client) Lineage() *proofv1.Lineage {
	lineage := c.pool.lineage.upTo(math.MaxUint64)
	if len(lineage.Genesis) == 0 {
		return nil
	}
	return lineage
}
