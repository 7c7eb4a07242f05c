package consensus

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	cs "github.com/cometbft/cometbft/consensus"
	cstypes "github.com/cometbft/cometbft/consensus/types"
	"github.com/cometbft/cometbft/types"
)

// Progress is how far this node sees consensus on the next block.
type Progress struct {
	// Height is the block in question. The rest is empty while the node does not follow.
	Height int64
	Round  int32
	// Step is "new-height" (the pause after a block), "new-round" (waiting for a reason to make a
	// block), "propose", "prevote", "prevote-wait", "precommit", "precommit-wait" or "commit".
	Step string
	// Since is when it got there.
	Since time.Time
	// Wanted is true when there is something for a block: transactions or evidence wait, or a
	// changed state is to be published.
	Wanted bool
	// Executing is the call that the application is busy with, "FinalizeBlock" for example, and
	// ExecutingSince when it began. Empty when there is none.
	Executing      string
	ExecutingSince time.Time
	// Validators are those of Height, in the engine's order.
	Validators []ValidatorProgress
	// TotalPower is the power of all of them, VotedPower of those whose vote of this step has
	// arrived: precommits from the step "precommit" on, prevotes before.
	TotalPower, VotedPower int64
}

// ValidatorProgress is what this node has of one validator in the current round.
type ValidatorProgress struct {
	Address      []byte // 20 bytes
	PublicKey    []byte // Ed25519, 32 bytes
	Power        int64
	Prevoted     bool // for a block or for none
	Precommitted bool // for a block or for none
	Proposer     bool // of this round
}

// stepNames are the names of the engine's steps.
var stepNames = [...]string{
	cstypes.RoundStepNewHeight:     "new-height",
	cstypes.RoundStepNewRound:      "new-round",
	cstypes.RoundStepPropose:       "propose",
	cstypes.RoundStepPrevote:       "prevote",
	cstypes.RoundStepPrevoteWait:   "prevote-wait",
	cstypes.RoundStepPrecommit:     "precommit",
	cstypes.RoundStepPrecommitWait: "precommit-wait",
	cstypes.RoundStepCommit:        "commit",
}

// step is where consensus is.
type step struct {
	height int64
	round  int32
	step   cstypes.RoundStepType
	since  time.Time
}

// observer knows where consensus is without asking it: consensus holds its lock while the
// application executes, for ever if the application hangs, and that is when people ask.
type observer struct {
	consensus *cs.State
	at        atomic.Pointer[step] // nil before the first step
	seen      atomic.Pointer[cstypes.RoundState]

	mu    sync.Mutex
	asked chan struct{} // closed when the question under way is answered; nil if there is none
}

// follow notes the steps that consensus announces until the context ends.
func (o *observer) follow(ctx context.Context, bus *types.EventBus) error {
	const name = "progress"
	// More than a height has, even when every round fails: announcements are a handful a
	// second, and a subscriber that is too slow is dropped.
	const room = 1024
	steps, err := bus.Subscribe(ctx, name, types.EventQueryNewRoundStep, room)
	if err != nil {
		return fmt.Errorf("watch the steps of consensus: %w", err)
	}
	rounds, err := bus.Subscribe(ctx, name, types.EventQueryNewRound, room)
	if err != nil {
		return fmt.Errorf("watch the rounds of consensus: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-steps.Canceled():
			return nil
		case <-rounds.Canceled():
			return nil
		case m := <-steps.Out():
			if e, ok := m.Data().(types.EventDataRoundState); ok {
				o.reached(e.Height, e.Round, e.Step)
			}
		case m := <-rounds.Out():
			if e, ok := m.Data().(types.EventDataNewRound); ok {
				o.reached(e.Height, e.Round, e.Step)
			}
		}
	}
}

// reached notes a step. The two kinds of announcements may overtake each other.
func (o *observer) reached(height int64, round int32, name string) {
	for s := range stepNames {
		next := step{height, round, cstypes.RoundStepType(s), time.Now()}
		if next.step.String() != name || !next.step.IsValid() {
			continue
		}
		if now := o.at.Load(); now == nil || next.after(*now) {
			o.at.Store(&next)
		}
		return
	}
}

func (s step) after(o step) bool {
	if s.height != o.height {
		return s.height > o.height
	}
	if s.round != o.round {
		return s.round > o.round
	}
	return s.step > o.step
}

// patienceForState is how long a question for the state of the round may wait for consensus.
const patienceForState = 50 * time.Millisecond

// state returns the state of the round, or an earlier one when consensus does not answer in
// time, or nil when it never did. At most one question is under way, however many ask. What
// the votes in it point to is alive: it is read under locks of its own, which consensus
// holds for moments only.
func (o *observer) state() *cstypes.RoundState {
	o.mu.Lock()
	asked := o.asked
	if asked == nil {
		asked = make(chan struct{})
		o.asked = asked
		go func() {
			o.seen.Store(o.consensus.GetRoundState())
			o.mu.Lock()
			o.asked = nil
			o.mu.Unlock()
			close(asked)
		}()
	}
	o.mu.Unlock()
	patience := time.NewTimer(patienceForState)
	defer patience.Stop()
	select {
	case <-asked:
	case <-patience.C:
	}
	return o.seen.Load()
}

// Progress returns how far this node sees consensus on the next block. It is safe at any time
// and waits for consensus at most 50 ms; after that its votes are of a moment ago.
func (n *Node) Progress() Progress {
	done := n.app.committed.Load()
	p := Progress{Height: done.height + 1}
	if call := n.app.busy.Load(); call != nil {
		p.Executing, p.ExecutingSince = call.name, call.since
	}
	e := n.run.Load()
	if e == nil || n.phase.Load() != PhaseFollowing {
		return p
	}
	p.Wanted = n.notifier.wanted() || n.unpublished(done)
	rs := e.observer.state()
	at := e.observer.at.Load()
	if rs != nil && (at == nil || step{rs.Height, rs.Round, rs.Step, time.Time{}}.after(*at)) {
		at = &step{rs.Height, rs.Round, rs.Step, rs.StartTime}
	}
	if at == nil || rs == nil {
		return p
	}
	p.Height, p.Round, p.Step, p.Since = at.height, at.round, stepNames[at.step], at.since
	if rs.Height == at.height {
		p.count(rs, at)
	}
	return p
}

// count fills in what the validators have done.
func (p *Progress) count(rs *cstypes.RoundState, at *step) {
	prevotes, precommits := rs.Votes.Prevotes(at.round).BitArray(), rs.Votes.Precommits(at.round).BitArray()
	var proposer []byte
	if rs.Round == at.round && rs.Validators.Proposer != nil {
		proposer = rs.Validators.Proposer.Address
	}
	for i, v := range rs.Validators.Validators {
		vp := ValidatorProgress{
			Address: v.Address, PublicKey: v.PubKey.Bytes(), Power: v.VotingPower,
			Prevoted: prevotes.GetIndex(i), Precommitted: precommits.GetIndex(i), Proposer: bytes.Equal(proposer, v.Address),
		}
		p.Validators = append(p.Validators, vp)
		p.TotalPower += v.VotingPower
		if at.step >= cstypes.RoundStepPrecommit && vp.Precommitted || at.step < cstypes.RoundStepPrecommit && vp.Prevoted {
			p.VotedPower += v.VotingPower
		}
	}
}

// unpublished says whether no header carries the state after the newest block yet.
func (n *Node) unpublished(done *progress) bool {
	meta := n.blocks.LoadBlockMeta(done.height)
	return meta == nil || !bytes.Equal(meta.Header.AppHash, done.appHash)
}
