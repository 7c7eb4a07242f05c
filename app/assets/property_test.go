package assets_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	"github.com/althing-ledger/althing/state/keyspace"
)

// bank is a machine that does anything to two assets and keeps its own books.
type bank struct {
	*exectest.World
	t     *testing.T
	holds [][]byte
	moved int // operations that passed
}

var holders = []string{"acme/admin", "acme/alice", "globex/admin", "globex/bob"}

// TestSupplyIsTheSumOfBalancesAndHolds lets random operations run into every rule there is. Amounts are small, so that
// most of them pass, or close to the limit of 128 bits.
func TestSupplyIsTheSumOfBalancesAndHolds(t *testing.T) {
	t.Parallel()
	passed := 0
	rapid.Check(t, func(rt *rapid.T) {
		b := &bank{World: exectest.New(), t: t}
		b.Genesis(t, "acme/admin admin issuer payer\nacme/alice payer\nglobex/admin admin payer\nglobex/bob payer\n")
		for _, op := range []*assetsv1.Create{{Asset: "acme/usd", Cap: "1000"}, {Asset: "acme/max"}} {
			b.do("acme/admin", assets.CheckCreate(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
				return assets.Create(env, s, who, op)
			})
		}
		rt.Repeat(map[string]func(*rapid.T){
			"mint": func(rt *rapid.T) {
				op := &assetsv1.Mint{Asset: asset(rt), To: holder(rt), Amount: sum(rt)}
				b.do("acme/admin", assets.CheckMint(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
					return assets.Mint(env, s, who, op)
				})
			},
			"burn": func(rt *rapid.T) {
				op := &assetsv1.Burn{Asset: asset(rt), Amount: sum(rt)}
				b.do(holder(rt), assets.CheckBurn(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
					return assets.Burn(env, s, who, op)
				})
			},
			"transfer": func(rt *rapid.T) {
				op := &assetsv1.Transfer{Asset: asset(rt), To: holder(rt), Amount: sum(rt)}
				b.do(holder(rt), assets.CheckTransfer(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
					return assets.Transfer(env, s, who, op)
				})
			},
			"freeze": func(rt *rapid.T) {
				op := &assetsv1.SetFrozen{Asset: asset(rt), Account: holder(rt), Frozen: rapid.IntRange(0, 2).Draw(rt, "frozen") == 0}
				b.do("acme/admin", assets.CheckSetFrozen(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
					return assets.SetFrozen(env, s, who, op)
				})
			},
			"open":    b.open,
			"release": b.release,
			"cancel":  b.cancel,
			"time":    func(rt *rapid.T) { b.Pass(time.Duration(rapid.IntRange(0, 60).Draw(rt, "seconds")) * time.Second) },
			"":        b.check,
		})
		passed += b.moved
	})
	if passed == 0 {
		t.Error("no operation ever passed: the test tests nothing")
	}
}

func asset(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"acme/usd", "acme/max"}).Draw(rt, "asset")
}

func holder(rt *rapid.T) string { return rapid.SampledFrom(holders).Draw(rt, "account") }

func sum(rt *rapid.T) string {
	if rapid.IntRange(0, 9).Draw(rt, "huge") == 0 {
		return "340282366920938463463374607431768211300"
	}
	return fmt.Sprint(rapid.Uint64Range(1, 200).Draw(rt, "amount"))
}

func (b *bank) do(account string, check error, run func(*exec.Env, assets.Store, accounts.Reader) error) bool {
	out := b.Do(b.t, account, check, func(env *exec.Env, kv exec.KV) error { return run(env, assets.Open(kv), accounts.Read(kv)) })
	if out.Err == nil {
		b.moved++
	}
	return out.Err == nil
}

func (b *bank) open(rt *rapid.T) {
	op := &assetsv1.OpenHold{
		Asset: asset(rt), To: holder(rt), Amount: sum(rt),
		Deadline: timestamppb.New(b.Time.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "deadline")) * time.Second)),
	}
	if rapid.Bool().Draw(rt, "arbiter") {
		op.Arbiter = holder(rt)
	}
	opened := b.do(holder(rt), assets.CheckOpenHold(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
		return assets.OpenHold(env, s, who, op)
	})
	if opened {
		id := assets.HoldID(exectest.TxID(b.Height), 0)
		b.holds = append(b.holds, id[:])
	}
}

func (b *bank) release(rt *rapid.T) {
	if len(b.holds) == 0 {
		rt.Skip("no hold")
	}
	op := &assetsv1.ReleaseHold{HoldId: rapid.SampledFrom(b.holds).Draw(rt, "hold")}
	b.do(holder(rt), assets.CheckReleaseHold(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
		return assets.ReleaseHold(env, s, who, op)
	})
}

func (b *bank) cancel(rt *rapid.T) {
	if len(b.holds) == 0 {
		rt.Skip("no hold")
	}
	op := &assetsv1.CancelHold{HoldId: rapid.SampledFrom(b.holds).Draw(rt, "hold")}
	b.do(holder(rt), assets.CheckCancelHold(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
		return assets.CancelHold(env, s, who, op)
	})
}

// check adds everything up by itself, holding by holding and hold by hold, and asks whether SumSupply agrees.
func (b *bank) check(rt *rapid.T) {
	r := assets.Read(b.State)
	for _, name := range []string{"acme/usd", "acme/max"} {
		var total amount.Amount
		held := map[string]amount.Amount{}
		for _, id := range b.holds {
			hold, err := r.Hold(id)
			if err != nil {
				rt.Fatal(err)
			}
			if hold.GetAsset() == name {
				a, _ := amount.Parse(hold.Amount)
				held[hold.From], _ = held[hold.From].Add(a)
			}
		}
		for _, account := range holders {
			h, err := r.Holding(name, account)
			if err != nil {
				rt.Fatal(err)
			}
			if h.Held != held[account] {
				rt.Fatalf("%s: %s says it holds %s, its open holds are %s", name, account, h.Held, held[account])
			}
			if value, _ := b.State.Get(assetLeaf(name, account)); (value == nil) != (h == assets.Holding{}) {
				rt.Fatalf("%s: %s has %v and the leaf %x", name, account, h, value)
			}
			for _, part := range []amount.Amount{h.Balance, h.Held} {
				var ok bool
				if total, ok = total.Add(part); !ok {
					rt.Fatalf("%s: the balances leave the range", name)
				}
			}
		}
		if supply, err := r.Supply(name); err != nil || supply != total {
			rt.Fatalf("%s: supply %s, sum %s, %v", name, supply, total, err)
		}
	}
	checks, err := assets.SumSupply(b.State)
	if err != nil || len(checks) != 2 || !checks[0].Ok || !checks[1].Ok {
		rt.Fatal(checks, err)
	}
}

func assetLeaf(asset, account string) []byte {
	return append([]byte{keyspace.PrefixBalances}, strings.ReplaceAll(asset+"/"+account, "/", "\x00")...)
}
