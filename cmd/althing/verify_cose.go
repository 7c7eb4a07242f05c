package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/proto/attest"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// attestationView is what one node says of a transaction.
type attestationView struct {
	Node      string `json:"node"`
	NodeKey   string `json:"node_key"`
	IssuedAt  string `json:"issued_at"`
	KeySource string `json:"key_source"` // where the key comes from, in words
	ID        string `json:"id"`
	Status    string `json:"status"`
	Height    uint64 `json:"height"`
	Index     uint32 `json:"index"`
	Code      uint32 `json:"code"`
	Reason    string `json:"reason"`
	Time      string `json:"time"`
	BlockHash string `json:"block_hash"`
	AppHash   string `json:"app_hash"`
}

// notProvenByOne is what the word of one node leaves open.
var notProvenByOne = []string{
	"That it is so: this is the word of one node, which it may have given wrongly. A receipt holds what the validators have signed.",
	"That the key was the node's when it was used, and in nobody else's hands.",
}

// verifyAttestation fills the view with what a COSE message says, where the node has signed it that it names.
func (s *streams) verifyAttestation(ctx context.Context, g globals, view *verdict, p pins, data []byte, d *document) error {
	if d != nil || p.AnchorHash != nil {
		return usagef("%s is one node's word for an outcome: --file and --trust need a receipt", view.File)
	}
	said, key, err := s.attested(ctx, g, p, data)
	if err != nil {
		if exitCode(err) == exitUsage || !errors.Is(err, attest.ErrInvalid) {
			return err
		}
		return hint(fmt.Errorf("%s does not hold: %w", view.File, err),
			"the bytes are not what the node signed, or the key is not the node's: `althing node show NAME` shows the one that is listed")
	}
	if p.GenesisHash != nil && !equalHash(p.GenesisHash, said.GenesisHash) {
		return hint(fmt.Errorf("%s does not hold: it is about network %s with genesis %x", view.File, said.ChainID, said.GenesisHash),
			"it is of another network than the one you named: check --genesis, --network and "+networkVariable)
	}
	view.ChainID, view.GenesisHash, view.GenesisPinned = said.ChainID, hex.EncodeToString(said.GenesisHash[:]), p.GenesisHash != nil
	if view.GenesisPinned {
		view.PinnedBy = p.by
	}
	source := "--node-key"
	if p.nodeKey == nil {
		source = "the ledger's list of nodes"
	}
	view.Attestation = &attestationView{
		Node: said.Node, NodeKey: hex.EncodeToString(key), IssuedAt: utc(said.IssuedAt), KeySource: source, ID: hex.EncodeToString(said.ID[:]),
		Status: statusOfCode(said.Code), Height: said.Height, Index: said.Index, Code: said.Code, Reason: tx.Reason(ledgerv1.Code(said.Code)),
		Time: utc(said.Time), BlockHash: hex.EncodeToString(said.BlockHash[:]), AppHash: hex.EncodeToString(said.AppHash[:]),
	}
	view.NotProven = append(view.NotProven, notProvenByOne...)
	return nil
}

func equalHash(a []byte, b [32]byte) bool { return string(a) == string(b[:]) }

// statusOfCode returns the status of a transaction that stands in a block with a code.
func statusOfCode(code uint32) string {
	return statusText(resultOf(&ledgerv1.TxOutcome{Code: ledgerv1.Code(code)}).Status)
}

// attested returns what a message says and the key that has signed it: the one that the user names, or one that the ledger
// lists for the node.
func (s *streams) attested(ctx context.Context, g globals, p pins, data []byte) (attest.Statement, []byte, error) {
	if p.nodeKey != nil {
		said, err := attest.Check(data, p.nodeKey)
		return said, p.nodeKey, err
	}
	if p.network == nil {
		return attest.Statement{}, nil, hint(usagef("it is one node's word, and nothing says what that node's key is"),
			"say it with --node-key HEX, or name the network that lists it, with --network DIR-or-FILE")
	}
	var said attest.Statement
	var key []byte
	err := s.read(ctx, g, nil, func(ctx context.Context, _ globals, l *link, _ []string) (err error) {
		said, key, err = checkListed(ctx, l.Client, data)
		return err
	})
	return said, key, err
}

// checkListed tries the keys of all nodes that the ledger lists or has listed.
func checkListed(ctx context.Context, c *client.Client, data []byte) (said attest.Statement, key []byte, err error) {
	nodes, err := collect(paging{}, func(at uint64, page string, size uint32) (uint64, []*membershipv1.Node, string, error) {
		resp, err := c.Membership().ListNodes(ctx, &membershipv1.ListNodesRequest{Height: at, Page: page, PageSize: size, Removed: true})
		return resp.GetHeight(), resp.GetNodes(), resp.GetNextPage(), err
	})
	if err != nil {
		return said, nil, err
	}
	for _, n := range nodes.items {
		for _, key := range [][]byte{n.NodeKey, n.FormerNodeKey} {
			if len(key) == 0 {
				continue
			}
			if said, err := attest.Check(data, key); err == nil && said.Node == n.Name {
				return said, key, nil
			}
		}
	}
	return said, nil, fmt.Errorf("%w: none of the %s that the ledger has listed has signed it", attest.ErrInvalid, plural(len(nodes.items), "node"))
}

// fetchAttestation returns one node's word for the outcome of a transaction, checked against the key that the ledger lists.
func (s *streams) fetchAttestation(ctx context.Context, l *link, id tx.ID, file string) (*receiptView, []byte, error) {
	data, err := l.Attest(ctx, id)
	if err != nil {
		return nil, nil, unprovable(err, new(receiving))
	}
	said, _, err := checkListed(ctx, l.Client, data)
	if err != nil {
		return nil, nil, fmt.Errorf("what the node attests does not hold: %w", err)
	}
	if said.ID != [32]byte(id) || said.ChainID != l.Network().ChainID {
		return nil, nil, fmt.Errorf("%w: it is about transaction %x of %s", attest.ErrInvalid, said.ID, said.ChainID)
	}
	return &receiptView{
		File: file, Size: len(data), Kind: kindCOSE, ID: id.String(), ChainID: said.ChainID, Status: statusOfCode(said.Code), Height: said.Height,
		Time: utc(said.Time),
	}, data, nil
}

// text says it in words.
func (v *attestationView) text(out io.Writer, file string) {
	fmt.Fprintf(out, "%s is the word of node %s, and no proof:\n", file, v.Node)
	fmt.Fprintf(out, "\nTRANSACTION\n  id %s\n  %s in block %d, place %d, at %s\n", v.ID, v.Status, v.Height, v.Index, v.Time)
	if v.Code != 0 {
		fmt.Fprintf(out, "  with %s: it changed nothing\n", v.Reason)
	}
	fmt.Fprintf(out, "\nSIGNED BY\n  node %s with node key %s, at %s\n  that key is the one of %s\n", v.Node, v.NodeKey, v.IssuedAt, v.KeySource)
}
