package app

import (
	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/crypto"
	cmttypes "github.com/cometbft/cometbft/proto/tendermint/types"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/membership"
)

// BlockOverhead is the room in a block beside its transactions, in bytes: header, votes, evidence.
const BlockOverhead = 1 << 20

// evidence is the raw proof of the misbehaviour in a block, an entry for each.
type evidence struct {
	height int64
	raw    [][]byte
}

func (e evidence) of(height int64) [][]byte {
	if e.height != height {
		return nil
	}
	return e.raw
}

// KeepEvidence takes the raw evidence of a block, an item for each entry of the misbehaviour in its FinalizeBlock, which
// follows. The engine calls it from the goroutine of consensus calls.
func (a *App) KeepEvidence(height int64, raw [][]byte) { a.evidence = evidence{height, raw} }

// convict records the misbehaviour in a block and takes the voting power of those it convicts, before the block's
// transactions: what these may do to the quorum is judged by what is left of it.
func (b *block) convict(found []abci.Misbehavior) error {
	for _, m := range found {
		offence := membership.Misbehaviour{
			Address: m.Validator.Address, Kind: misbehaviourKind(m.Type), Height: uint64(m.Height), Time: m.Time.UnixNano(),
			Power: uint64(m.Validator.Power), TotalPower: uint64(m.TotalVotingPower),
		}
		c, err := membership.Convict(membership.Open(b.kv), b.height, b.time, offence)
		if err != nil {
			return err
		}
		b.convictions = append(b.convictions, c)
		if !c.Recorded {
			continue
		}
		b.changed |= members
		if err := accounts.Open(b.kv).TakePower(c.Org, c.Power); err != nil {
			return err
		}
	}
	return nil
}

// keepRaw adds the raw votes to what convict has recorded. They are known when the block is decided.
func (b *block) keepRaw(raw [][]byte) error {
	for i, c := range b.convictions {
		if !c.Recorded || i >= len(raw) {
			continue
		}
		if err := membership.KeepRaw(membership.Open(b.kv), b.height, c.Number, raw[i]); err != nil {
			return err
		}
	}
	return nil
}

func misbehaviourKind(t abci.MisbehaviorType) string {
	if t == abci.MisbehaviorType_DUPLICATE_VOTE {
		return "duplicate-vote"
	}
	return "light-client-attack"
}

// validatorUpdates is what the engine has to be told about the validators of the block after the next one.
func (b *block) validatorUpdates() ([]abci.ValidatorUpdate, error) {
	if b.changed&members == 0 {
		return nil, nil
	}
	before, err := membership.Read(b.view).Seats()
	if err != nil {
		return nil, err
	}
	after, err := membership.Read(b.kv).Seats()
	if err != nil {
		return nil, err
	}
	var updates []abci.ValidatorUpdate
	for _, u := range membership.Updates(before, after, b.height) {
		updates = append(updates, abci.ValidatorUpdate{
			PubKey: cmtproto.PublicKey{Sum: &cmtproto.PublicKey_Ed25519{Ed25519: u.PublicKey}}, Power: int64(u.Power),
		})
	}
	return updates, nil
}

// paramUpdates is what the engine has to be told about the rules of the next block, nil when they are those of this one.
func paramUpdates(now, next *rules) *cmttypes.ConsensusParams {
	if now.charter.MaxBlockBytes == next.charter.MaxBlockBytes && now.level == next.level {
		return nil
	}
	return &cmttypes.ConsensusParams{
		Block:   &cmttypes.BlockParams{MaxBytes: int64(next.charter.MaxBlockBytes) + BlockOverhead, MaxGas: -1},
		Version: &cmttypes.VersionParams{App: next.level},
	}
}
