package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/althing-ledger/althing/app"
)

// observed is the state machine with a clock beside it, which it must not read itself: it measures the calls of consensus
// and says in one line what each block did. It also lets the voter look at every commit before consensus goes on.
type observed struct {
	*app.App
	voter     *voter
	log       *slog.Logger
	durations *prometheus.HistogramVec

	// Owned by the goroutine of consensus calls.
	last     *abci.ResponseFinalizeBlock
	height   int64
	executed time.Duration
}

func (o *observed) measure(call string, begin time.Time) time.Duration {
	took := time.Since(begin)
	o.durations.WithLabelValues(call).Observe(took.Seconds())
	return took
}

func (o *observed) PrepareProposal(ctx context.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	defer o.measure("prepare_proposal", time.Now())
	return o.App.PrepareProposal(ctx, req)
}

func (o *observed) ProcessProposal(ctx context.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	defer o.measure("process_proposal", time.Now())
	return o.App.ProcessProposal(ctx, req)
}

func (o *observed) FinalizeBlock(ctx context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	begin := time.Now()
	res, err := o.App.FinalizeBlock(ctx, req)
	o.executed = o.measure("finalize_block", begin)
	o.last, o.height = res, req.Height
	return res, err
}

func (o *observed) Commit(ctx context.Context, req *abci.RequestCommit) (*abci.ResponseCommit, error) {
	begin := time.Now()
	res, err := o.App.Commit(ctx, req)
	took := o.measure("commit", begin)
	if err == nil {
		o.voter.committed(uint64(o.height))
	}
	if err == nil && o.last != nil {
		o.tell(took)
	}
	o.last = nil
	return res, err
}

// tell writes the line of a block: those without transactions are of interest only to whoever debugs.
func (o *observed) tell(took time.Duration) {
	level, rejected := slog.LevelInfo, 0
	for _, r := range o.last.TxResults {
		if r.Code != 0 {
			rejected++
		}
	}
	if len(o.last.TxResults) == 0 {
		level = slog.LevelDebug
	}
	o.log.Log(context.Background(), level, "committed block", "height", o.height, "txs", len(o.last.TxResults), "rejected", rejected,
		"app_hash", fmt.Sprintf("%x", o.last.AppHash), "execute", o.executed.Round(time.Microsecond), "commit", took.Round(time.Microsecond))
}

// observe puts the clock and the log beside the state machine.
func observe(machine *app.App, voter *voter, log *slog.Logger, metrics prometheus.Registerer) *observed {
	o := &observed{App: machine, voter: voter, log: log, durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "althing_consensus_call_duration_seconds",
		Help:    "Time that the state machine takes for a call of consensus.",
		Buckets: prometheus.ExponentialBuckets(0.0002, 2, 16),
	}, []string{"call"})}
	metrics.MustRegister(o.durations)
	return o
}
