package grpcapi

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// GetStatus answers everybody. Where reads are closed, strangers learn which network and program they have reached and
// whether the node is ready, so that a client can tell that it is at the right place, and nothing of the ledger or the mesh.
func (s *ledgerServer) GetStatus(ctx context.Context, q *ledgerv1.GetStatusRequest) (*ledgerv1.GetStatusResponse, error) {
	engine := s.engine.Status()
	now := s.standing(engine)
	genesis := s.app.Genesis()
	answer := &ledgerv1.GetStatusResponse{
		ChainId: genesis.ChainID, GenesisHash: genesis.Hash[:], Node: s.self.Name, Org: s.self.Org,
		Phase: engine.Phase, Ready: now.ready, Waiting: now.waiting,
		Now: timestamppb.New(s.now()), Version: s.self.Version, FeatureLevel: s.app.FeatureLevel(),
	}
	stranger, err := s.access.stranger(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	if stranger {
		answer.Waiting = s.standing(veiled(engine)).waiting
		return answer, nil
	}
	if err := s.describe(answer, engine); err != nil {
		return nil, toStatus(err)
	}
	if q.Why {
		answer.Progress = progressOf(s.engine.Progress())
	}
	return answer, nil
}

// describe adds what is for readers.
func (s *ledgerServer) describe(answer *ledgerv1.GetStatusResponse, engine EngineStatus) error {
	view, err := s.app.View(0)
	if err != nil {
		return err
	}
	defer view.Release()
	pending := s.app.Pool().Stats()
	answer.Height, answer.AppHash = view.Height(), view.AppHash()
	if view.Height() > 0 {
		answer.BlockTime = timestamppb.New(view.BlockTime())
	}
	answer.OldestHeight, answer.OldestBlock = s.app.Oldest(), engine.OldestBlock
	answer.PendingTransactions, answer.PendingBytes = uint64(pending.Txs), uint64(pending.Bytes)
	answer.Validator, answer.Members = engine.Validator, engine.Members
	for _, p := range engine.Peers {
		answer.Peers = append(answer.Peers, peerOf(p))
	}
	return nil
}

func peerOf(p Peer) *ledgerv1.Peer {
	return &ledgerv1.Peer{
		Name: p.Name, Org: p.Org, Address: p.Address, Since: timestamppb.New(p.Since),
		Id: p.ID, Height: p.Height, RoundTripUs: uint64(max(p.RoundTrip, 0).Microseconds()), ClockOffsetMs: p.ClockOffset.Milliseconds(),
		Version: p.Version, Outbound: p.Outbound,
	}
}

func progressOf(p Progress) *ledgerv1.Progress {
	answer := &ledgerv1.Progress{
		Height: p.Height, Round: p.Round, Step: p.Step, Wanted: p.Wanted, Obstacle: p.Obstacle,
		TotalPower: p.TotalPower, VotedPower: p.VotedPower,
	}
	if !p.Since.IsZero() {
		answer.Since = timestamppb.New(p.Since)
	}
	for _, v := range p.Validators {
		answer.Validators = append(answer.Validators, &ledgerv1.ValidatorProgress{
			Name: v.Name, Org: v.Org, Power: v.Power, State: v.State, Height: v.Height,
			Prevoted: v.Prevoted, Precommitted: v.Precommitted, Proposer: v.Proposer,
		})
	}
	return answer
}
