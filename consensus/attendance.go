package consensus

import (
	"sync"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/config"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
)

// attendance knows which validators the newest blocks did without. All nodes read it from the same commits.
type attendance struct {
	mu     sync.Mutex
	missed map[string]int // newest commits in a row without the validator's vote, by address
}

// goneAfter is how many commits in a row a validator must be missing from to count as gone: one may be an accident.
const goneAfter = 2

// note takes over who signed the block before the one that is executed.
func (a *attendance) note(commit abci.CommitInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	missed := make(map[string]int)
	for _, v := range commit.Votes {
		if v.BlockIdFlag == cmtproto.BlockIDFlagAbsent {
			address := string(v.Validator.Address)
			missed[address] = min(a.missed[address]+1, goneAfter)
		}
	}
	a.missed = missed
}

// gone says whether a validator takes no part at present.
func (a *attendance) gone(address []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.missed[string(address)] == goneAfter
}

// goneShare is the part of the usual time that the turn of a proposer that is gone may take.
const goneShare = 5

// await sets how long the next height waits for its first proposal, and for the last votes of a round without one. Whoever is
// gone loses the whole turn either way; whoever has just come back has enough with a fifth of the time, or proposes next time.
// Later rounds wait at least as long as they always do: others propose in them.
func (n *Node) await(knobs *config.ConsensusConfig, proposer []byte) {
	share := time.Duration(1)
	if n.app.attendance.gone(proposer) {
		share = goneShare
	}
	p := n.cfg.Profile
	knobs.TimeoutPropose, knobs.TimeoutProposeDelta = p.TimeoutPropose/share, p.TimeoutProposeDelta
	knobs.TimeoutPrecommit, knobs.TimeoutPrecommitDelta = p.TimeoutVote/share, p.TimeoutVoteDelta
	// What the first round lacks comes back in the second.
	knobs.TimeoutProposeDelta += p.TimeoutPropose - knobs.TimeoutPropose
	knobs.TimeoutPrecommitDelta += p.TimeoutVote - knobs.TimeoutPrecommit
}
