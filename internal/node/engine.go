package node

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/grpcapi"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/consensus"
	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// stalled is how long a wanted block may take before people are told who keeps it from being made.
const stalled = 2 * time.Second

// consensusGenesis is the part of the genesis document that the engine needs. The hash of the whole document stands for the
// rest, so that a database begun with another document is found out.
func consensusGenesis(g app.Genesis) consensus.Genesis {
	genesis := consensus.Genesis{
		ChainID:       g.ChainID,
		Time:          g.Time(),
		AppState:      fmt.Appendf(nil, "%q", fmt.Sprintf("%x", g.Hash)),
		FeatureLevel:  g.Doc.FeatureLevel,
		MaxBlockBytes: int64(g.Charter().MaxBlockBytes) + app.BlockOverhead,
	}
	for _, n := range g.Doc.Nodes {
		if n.Node.Power > 0 {
			genesis.Validators = append(genesis.Validators,
				consensus.Validator{Name: n.Node.Name, PublicKey: n.Node.ValidatorKey, Power: int64(n.Node.Power)})
		}
	}
	return genesis
}

func statusText(org *accountsv1.Org) string {
	return strings.ToLower(strings.TrimPrefix(org.GetStatus().String(), "ORG_STATUS_"))
}

// engine answers the API's questions about consensus.
type engine struct {
	// node is the engine of now: the node gets another one with another node key.
	node    atomic.Pointer[consensus.Node]
	mesh    *mesh
	gossip  *mempool.Gossip
	machine *app.App
	self    string
	// needed is when nobody could have made a block without this node or those it was connected to, last; nil for never.
	// Status notes it, and is called many times a second.
	needed atomic.Pointer[time.Time]
}

func (e *engine) Status() grpcapi.EngineStatus {
	node, ledger := e.node.Load(), e.mesh.ledger.Load()
	status := node.Status()
	base, _ := node.BlockRange()
	answer := grpcapi.EngineStatus{
		Phase:       string(status.Phase),
		Validator:   status.Validator,
		OldestBlock: uint64(base),
		Members:     uint32(len(ledger.Nodes)),
	}
	if ledger.Listed(e.self) != nil {
		answer.Members--
	}
	pulses := e.gossip.Peers()
	connected := map[string]bool{e.self: true}
	for _, p := range status.Peers {
		connected[p.Name] = true
		pulse := pulses[p.ID]
		answer.Peers = append(answer.Peers, grpcapi.Peer{
			Name: p.Name, Org: p.Org, Address: p.Address, Since: p.Since, ID: p.ID, Outbound: p.Outbound,
			Height: max(uint64(p.Height), pulse.Height), RoundTrip: pulse.RoundTrip, ClockOffset: pulse.ClockOffset, Version: pulse.Version,
		})
	}
	// The gossip says how far the peers are ahead; people ask how far this node is.
	offset, known := e.gossip.ClockOffset()
	answer.ClockOffset, answer.ClockKnown = -offset, known
	answer.Waiting = e.waiting(status, connected)
	answer.Following = answer.Waiting == ""
	answer.Behind = e.behind(status)
	answer.Apart = e.apart(status, connected, time.Now())
	return answer
}

// patience is how long a node that has lost the others goes on taking transactions: connections that break come back.
const patience = 15 * time.Second

// apart says whether transactions are better handed to another node than to this one: the ledger does not list it, it is
// behind, or it has been alone with so little power for a while that blocks may be made without it. Where nobody can make
// a block without those it is connected to, its transactions wait as well as any.
func (e *engine) apart(status consensus.Status, connected map[string]bool, now time.Time) bool {
	if status.Phase != consensus.PhaseFollowing || e.mesh.ledger.Load().Listed(e.self) == nil {
		return true
	}
	validators := e.mesh.ledger.Load().Validators(e.machine.Height() + 1)
	alone := len(connected) == 1
	switch {
	case e.behind(status) > 0:
		return true
	case alone && quorum(validators, connected), !alone && e.caughtUp(status) && blocking(validators, connected):
		e.needed.Store(&now)
		return false
	}
	last := e.needed.Load()
	return last == nil || now.Sub(*last) > patience
}

// waiting says what the node waits for before it can follow the network, nothing when it follows.
func (e *engine) waiting(status consensus.Status, connected map[string]bool) string {
	ledger := e.mesh.ledger.Load()
	validators := ledger.Validators(e.machine.Height() + 1)
	standing, err := e.mesh.standing(e.self)
	if err != nil {
		return err.Error()
	}
	switch {
	case status.Phase == consensus.PhaseStarting || status.Phase == consensus.PhaseReplaying:
		return "the blocks on this node's disk are being read"
	case len(status.Peers) == 0 && standing != "":
		return standing + "; until then no member lets it in"
	case standing != "":
		return standing
	case len(status.Peers) == 0 && len(ledger.Nodes) > 1 && !quorum(validators, connected):
		return "no other member is connected: they do not run or cannot be reached, or the ledger they have does not list this node"
	case status.Phase != consensus.PhaseFollowing:
		return fmt.Sprintf("blocks are being fetched from %d members", len(status.Peers))
	case !e.caughtUp(status):
		return "the other members are ahead"
	case !quorum(validators, connected):
		return "validators with more than two thirds of the voting power are not connected: " + unconnected(validators, connected)
	}
	return ""
}

// caughtUp says whether the node keeps up with the network. Where members with a vote are connected, theirs count, by their power:
// an org may list more nodes than others have, and let them claim any height. Who is not listed any more does not count.
func (e *engine) caughtUp(status consensus.Status) bool {
	if status.Phase != consensus.PhaseFollowing {
		return false
	}
	if ahead, told := e.ahead(status); told {
		return ahead <= 1
	}
	return status.CaughtUp
}

// behind returns by how many blocks the others are ahead, 0 where that is not known, or no more than a block that is on its way.
func (e *engine) behind(status consensus.Status) uint64 {
	if ahead, told := e.ahead(status); told && ahead > 1 {
		return uint64(ahead)
	}
	return 0
}

// ahead returns how many blocks more than this node those have who hold more than half of the power that has told its height,
// and false where none has.
func (e *engine) ahead(status consensus.Status) (blocks int64, told bool) {
	ledger := e.mesh.ledger.Load()
	power := make(map[string]uint64)
	for _, seat := range ledger.Validators(e.machine.Height() + 1) {
		if ledger.Listed(seat.Node) != nil {
			power[seat.Node] += seat.Power
		}
	}
	var all uint64
	peers := slices.DeleteFunc(slices.Clone(status.Peers), func(p consensus.PeerStatus) bool { return p.Height == 0 || power[p.Name] == 0 })
	for _, p := range peers {
		all += power[p.Name]
	}
	slices.SortFunc(peers, func(a, b consensus.PeerStatus) int { return cmp.Compare(b.Height, a.Height) })
	var have uint64
	for _, p := range peers {
		if have += power[p.Name]; 2*have > all {
			return p.Height - status.Height, true
		}
	}
	return 0, false
}

// quorum says whether the connected nodes hold more than two thirds of the voting power: with fewer, this node would not
// learn of the next block.
func quorum(validators []*membershipv1.Seat, connected map[string]bool) bool {
	have, all := votes(validators, connected)
	return 3*have > 2*all
}

// blocking says whether nobody can make a block without the connected nodes: they hold a third of the voting power.
func blocking(validators []*membershipv1.Seat, connected map[string]bool) bool {
	have, all := votes(validators, connected)
	return 3*have >= all
}

// votes returns how much voting power the connected nodes hold, and how much there is.
func votes(validators []*membershipv1.Seat, connected map[string]bool) (have, all uint64) {
	for _, seat := range validators {
		all += seat.Power
		if connected[seat.Node] {
			have += seat.Power
		}
	}
	return have, all
}

// needsNobody says whether this node makes blocks alone.
func (e *engine) needsNobody() bool {
	return quorum(e.mesh.ledger.Load().Validators(e.machine.Height()+1), map[string]bool{e.self: true})
}

func unconnected(validators []*membershipv1.Seat, connected map[string]bool) string {
	var missing []string
	for _, seat := range validators {
		if !connected[seat.Node] {
			missing = append(missing, seat.Node)
		}
	}
	return strings.Join(missing, ", ") + " are missing"
}

// Block implements [grpcapi.Engine].
func (e *engine) Block(height uint64) (grpcapi.Block, error) {
	b, err := e.node.Load().Block(int64(height))
	if err != nil {
		return grpcapi.Block{}, blockError(err)
	}
	return grpcapi.Block{Time: b.Time, Hash: b.Hash, AppHashBefore: b.AppHash, Proposer: e.nameOf(b.Proposer),
		Evidence: b.Evidence, Txs: b.Txs}, nil
}

// Header implements [grpcapi.Engine].
func (e *engine) Header(height uint64) ([]byte, error) {
	header, err := e.node.Load().Header(int64(height))
	return header, blockError(err)
}

// SignedHeader implements [grpcapi.Engine].
func (e *engine) SignedHeader(height uint64) (*proofv1.SignedHeader, error) {
	signed, err := e.node.Load().SignedHeader(int64(height))
	if err != nil {
		return nil, blockError(err)
	}
	return &proofv1.SignedHeader{Header: signed.Header, Commit: signed.Commit}, nil
}

// blockError says in the API's terms why a block cannot be had.
func blockError(err error) error {
	switch {
	case errors.Is(err, consensus.ErrPruned):
		return fmt.Errorf("%w: %w", grpcapi.ErrBlockPruned, err)
	case errors.Is(err, consensus.ErrFuture):
		return fmt.Errorf("%w: %w", grpcapi.ErrBlockFuture, err)
	case errors.Is(err, consensus.ErrNotReady):
		return fmt.Errorf("%w: %w", grpcapi.ErrNotReady, err)
	}
	return err
}

// nameOf returns the name of the node that voted under an address, or the address where no node ever did.
func (e *engine) nameOf(address []byte) string {
	// The ledger remembers every key there ever was.
	view, err := e.machine.View(0)
	if err == nil {
		defer view.Release()
		if use, err := membership.Read(view).KeyUse(address); err == nil && use != nil {
			return use.Node
		}
	}
	return fmt.Sprintf("%x", address)
}

// Signing implements [grpcapi.Engine].
func (e *engine) Signing(window int) []grpcapi.SigningRecord {
	signed, err := e.node.Load().SigningRecord(window)
	if err != nil {
		return nil // the blocks are being pruned or closed: the listing does without
	}
	records := make([]grpcapi.SigningRecord, len(signed))
	for i, s := range signed {
		records[i] = grpcapi.SigningRecord{Address: s.Address, Asked: uint32(s.Asked), Signed: uint32(s.Signed), Last: uint64(s.LastSigned)}
	}
	return records
}

// Progress implements [grpcapi.Engine].
func (e *engine) Progress() grpcapi.Progress {
	node, ledger := e.node.Load(), e.mesh.ledger.Load()
	p, status := node.Progress(), node.Status()
	peers := make(map[string]consensus.PeerStatus, len(status.Peers))
	for _, peer := range status.Peers {
		peers[peer.Name] = peer
	}
	answer := grpcapi.Progress{
		Height: uint64(p.Height), Round: uint32(p.Round), Step: p.Step, Since: p.Since, Wanted: p.Wanted,
		TotalPower: uint64(p.TotalPower), VotedPower: uint64(p.VotedPower),
	}
	for _, v := range p.Validators {
		name := e.nameOf(v.Address)
		one := grpcapi.ValidatorProgress{
			Name: name, Power: uint64(v.Power), State: "unconnected",
			Prevoted: v.Prevoted, Precommitted: v.Precommitted, Proposer: v.Proposer,
		}
		one.Org = e.orgOf(ledger, name)
		peer, connected := peers[name]
		switch {
		case name == e.self:
			one.State, one.Height = "self", uint64(status.Height)
		case connected && peer.Height+1 < p.Height:
			one.State, one.Height = "behind", uint64(peer.Height)
		case connected:
			one.State, one.Height = "connected", uint64(peer.Height)
		}
		answer.Validators = append(answer.Validators, one)
	}
	answer.Obstacle = obstacle(p, answer.Validators, status)
	return answer
}

// orgOf returns the org of a node, also of one that is not admitted any more, empty if there never was one.
func (e *engine) orgOf(ledger *membership.Registry, name string) string {
	if n := ledger.Listed(name); n != nil {
		return n.Org
	}
	view, err := e.machine.View(0)
	if err != nil {
		return ""
	}
	defer view.Release()
	n, err := membership.Read(view).Node(name)
	if err != nil {
		return ""
	}
	return n.GetOrg()
}

// obstacle says, for people, what keeps the network from making a block, nothing when none is wanted or it goes on.
func obstacle(p consensus.Progress, validators []grpcapi.ValidatorProgress, status consensus.Status) string {
	if status.Phase != consensus.PhaseFollowing {
		return fmt.Sprintf("this node is %s: ask another one", status.Phase)
	}
	if p.Executing != "" && time.Since(p.ExecutingSince) > stalled {
		return fmt.Sprintf("this node's state machine has been busy with %s for %v", p.Executing, time.Since(p.ExecutingSince).Round(time.Second))
	}
	var missing []string
	var absent int64
	for i, v := range p.Validators {
		voted := v.Prevoted
		if p.Step == "precommit" || p.Step == "precommit-wait" {
			voted = v.Precommitted
		}
		if state := validators[i].State; !voted || state == "unconnected" || state == "behind" {
			what := "silent"
			if state == "unconnected" || state == "behind" {
				what = state
				absent += v.Power
			}
			missing = append(missing, fmt.Sprintf("%s (power %d) is %s", validators[i].Name, v.Power, what))
		}
	}
	reached := 3*(p.TotalPower-absent) > 2*p.TotalPower
	waits := p.Wanted && (p.Round > 0 || time.Since(p.Since) > stalled)
	if len(missing) == 0 || reached && !waits {
		return ""
	}
	text := fmt.Sprintf("block %d needs more than two thirds of %d: in round %d, step %s, votes of %d have come; %s",
		p.Height, p.TotalPower, p.Round, p.Step, p.VotedPower, strings.Join(missing, ", "))
	if reached {
		text += "; those connected are enough, so it should go on"
	}
	return text
}

var _ grpcapi.Engine = (*engine)(nil)
