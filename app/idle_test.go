package app

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/state"
)

// TestTimePassesWithoutATrace leaves everything pending that time or height can end (a hold, a proposal, a removal, ids that
// expire, a planned upgrade) and decides blocks without transactions over hours and days. None may change the app hash: the
// proofs of the newest state hang on it, and a ledger that is idle grows by nothing.
func TestTimePassesWithoutATrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	r.each(&ledgerv1.Operation{Account: "acme/treasury", Kind: &ledgerv1.Operation_AssetOpenHold{AssetOpenHold: &assetsv1.OpenHold{
		Asset: "acme/usd", To: "globex/admin", Amount: "5", Deadline: timestamppb.New(blockTime(100)),
	}}})
	r.each(proposing("acme/admin", setCharter(&governancev1.Charter{BlockIntervalMs: 300})))
	r.enact(&ledgerv1.Operation{Kind: &ledgerv1.Operation_UpgradeSchedule{UpgradeSchedule: &governancev1.ScheduleUpgrade{
		Upgrade: &governancev1.Upgrade{Height: 1000, FeatureLevel: FeatureLevel + 1, Note: "later"},
	}}})
	r.enact(&ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeRemove{NodeRemove: &membershipv1.RemoveNode{Name: "umbrella-1"}}})
	r.enact(suspend("umbrella"))
	height, at := r.store.Height(), blockTime(r.store.Height())
	long := w.body(at.Add(time.Second), transfer("acme/treasury", "acme/usd", "acme/admin", "1"))
	long.ExpiresAt = timestamppb.New(at.Add(20 * time.Hour))
	want := r.decide(height+1, at.Add(time.Second), w.sign(long)).AppHash
	for i := range uint64(60) {
		height, at = r.store.Height()+1, at.Add(time.Duration(i)*time.Hour)
		res := r.decide(height, at)
		if !bytes.Equal(res.AppHash, want) || len(res.ValidatorUpdates) > 0 {
			t.Fatalf("block %d without transactions, at %v: app hash %x, want %x; updates %v", height, at, res.AppHash, want, res.ValidatorUpdates)
		}
	}
}
