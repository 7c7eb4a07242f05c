package grpcapi

import (
	"context"
	"fmt"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// maxClockOffset is how far a node's clock may be off those of its peers. Beyond it the node judges expiries and tokens
// wrongly, and the times that it proposes hold the network up.
const maxClockOffset = 30 * time.Second

// standing is what a node can be used for now. Health, the status, the metrics and the calls that submit or wait all go by it.
type standing struct {
	// ready says that the node can be relied on: it has a state, follows the network, and its clock is right.
	ready bool
	// takes says that transactions are taken, which a node that is ready does. One that is not does for as long as
	// nothing speaks for another node: DESIGN.md says when.
	takes bool
	// waiting is what the node waits for before it is ready, for people; empty when it is.
	waiting string
}

// standing judges how the node stands, and has the calls that submit go by it.
func (s *Server) standing(engine EngineStatus) standing {
	now := standing{
		ready:   s.cfg.App.Height() > 0 && engine.Following && !clockOff(engine),
		takes:   engine.Following || !engine.Apart,
		waiting: waiting(engine),
	}
	s.closed.Store(!now.takes)
	return now
}

// Ready says whether the node can be relied on: it has a state, follows the network, and its clock is right.
func (s *Server) Ready() bool { return s.standing(s.cfg.Engine.Status()).ready }

// clockOff reports whether the node's clock is known to be wrong.
func clockOff(engine EngineStatus) bool {
	return engine.ClockKnown && engine.ClockOffset.Abs() > maxClockOffset
}

// waiting says, for people, what the node waits for before it can be relied on.
func waiting(engine EngineStatus) string {
	text := engine.Waiting
	if text != "" && engine.Behind > 0 {
		text = fmt.Sprintf("%s; this node is behind by %d blocks", text, engine.Behind)
	}
	if !clockOff(engine) {
		return text
	}
	direction := "ahead of"
	if engine.ClockOffset < 0 {
		direction = "behind"
	}
	clock := fmt.Sprintf("this node's clock is %v %s those of its peers, %v are allowed: set it",
		engine.ClockOffset.Abs().Round(time.Second), direction, maxClockOffset)
	if text == "" {
		return clock
	}
	return clock + "; " + text
}

// veiled is what strangers are told of a node that does not follow the network: the reason may name heights and members.
func veiled(engine EngineStatus) EngineStatus {
	if engine.Waiting != "" {
		engine.Waiting, engine.Behind = "this node does not follow the network; its members may see why", 0
	}
	return engine
}

// tellHealth keeps health as the node stands, and sends those who wait for transactions to other nodes for as long as this
// one takes none: what they wait for may happen without it.
func (s *Server) tellHealth(ctx context.Context) {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	for {
		verdict := healthv1.HealthCheckResponse_NOT_SERVING
		now := s.standing(s.cfg.Engine.Status())
		if now.ready {
			verdict = healthv1.HealthCheckResponse_SERVING
		}
		s.health.SetServingStatus("", verdict)
		if !now.takes {
			s.cfg.App.EndWaits(errLost)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// mayTake returns nil where the node takes transactions, and otherwise an error that is [ErrNotReady] and says to the caller
// why not, as far as that is for it to know.
func (s *ledgerServer) mayTake(ctx context.Context) error {
	if !s.closed.Load() {
		return nil
	}
	engine := s.engine.Status()
	now := s.standing(engine)
	if now.takes {
		return nil
	}
	stranger, err := s.access.stranger(ctx)
	if err != nil {
		return err
	}
	if stranger {
		now = s.standing(veiled(engine))
	}
	return fmt.Errorf("%w, it has not taken the transaction: %s: send it to another node, or here again later", ErrNotReady, now.waiting)
}
