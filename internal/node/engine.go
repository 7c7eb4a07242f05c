package node

import (
	"errors"
	"fmt"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/grpcapi"
	"github.com/althing-ledger/althing/consensus"
	"github.com/althing-ledger/althing/p2p"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// blockOverhead is the room for a block's header, votes and evidence beside its transactions.
const blockOverhead = 1 << 20

// consensusGenesis is the part of the genesis document that the engine needs. The hash of the whole document stands for the
// rest, so that a database begun with another document is found out.
func consensusGenesis(g app.Genesis) consensus.Genesis {
	genesis := consensus.Genesis{
		ChainID:       g.ChainID,
		Time:          g.Time(),
		AppState:      fmt.Appendf(nil, "%q", fmt.Sprintf("%x", g.Hash)),
		FeatureLevel:  g.Doc.FeatureLevel,
		MaxBlockBytes: int64(g.Charter().MaxBlockBytes) + blockOverhead,
	}
	for _, n := range g.Doc.Nodes {
		if len(n.ValidatorKey) > 0 {
			genesis.Validators = append(genesis.Validators,
				consensus.Validator{Name: n.Name, PublicKey: n.ValidatorKey, Power: int64(n.Power)})
		}
	}
	return genesis
}

// members is the registry as the mesh wants it.
func members(nodes []*membershipv1.Node) []p2p.Member {
	list := make([]p2p.Member, len(nodes))
	for i, n := range nodes {
		list[i] = p2p.Member{Name: n.Name, Org: n.Org, ID: p2p.NodeID(n.NodeKey), Addresses: n.Addresses}
	}
	return list
}

// engine answers the API's questions about consensus.
type engine struct {
	node  *consensus.Node
	self  string
	nodes []*membershipv1.Node
}

func (e *engine) Status() grpcapi.EngineStatus {
	status := e.node.Status()
	base, _ := e.node.BlockRange()
	answer := grpcapi.EngineStatus{
		Phase:       string(status.Phase),
		Validator:   status.Validator,
		OldestBlock: uint64(base),
		Members:     uint32(len(e.nodes) - 1),
	}
	connected := map[string]bool{e.self: true}
	for _, p := range status.Peers {
		connected[p.Name] = true
		answer.Peers = append(answer.Peers, grpcapi.Peer{Name: p.Name, Org: p.Org, Address: p.Address, Since: p.Since})
	}
	answer.Following = status.Phase == consensus.PhaseFollowing && status.CaughtUp && e.quorum(connected)
	return answer
}

// quorum says whether the connected nodes hold more than two thirds of the voting power: with fewer, this node would not
// learn of the next block.
func (e *engine) quorum(connected map[string]bool) bool {
	var have, all uint64
	for _, n := range e.nodes {
		all += n.Power
		if connected[n.Name] {
			have += n.Power
		}
	}
	return 3*have > 2*all
}

func (e *engine) Block(height uint64) (grpcapi.Block, error) {
	b, err := e.node.Block(int64(height))
	switch {
	case errors.Is(err, consensus.ErrPruned):
		return grpcapi.Block{}, fmt.Errorf("%w: %w", grpcapi.ErrBlockPruned, err)
	case errors.Is(err, consensus.ErrFuture):
		return grpcapi.Block{}, fmt.Errorf("%w: %w", grpcapi.ErrBlockFuture, err)
	case errors.Is(err, consensus.ErrNotReady):
		return grpcapi.Block{}, fmt.Errorf("%w: %w", grpcapi.ErrNotReady, err)
	case err != nil:
		return grpcapi.Block{}, err
	}
	return grpcapi.Block{Time: b.Time, Hash: b.Hash, AppHashBefore: b.AppHash, Proposer: e.nameOf(b.Proposer), Txs: b.Txs}, nil
}

// nameOf returns the name of the node that votes under an address, or the address where no listed node does.
func (e *engine) nameOf(address []byte) string {
	id := fmt.Sprintf("%x", address)
	for _, n := range e.nodes {
		// Validators' addresses and nodes' ids are the same digest of a key.
		if len(n.ValidatorKey) > 0 && p2p.NodeID(n.ValidatorKey) == id {
			return n.Name
		}
	}
	return id
}
