package assets_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	"github.com/althing-ledger/althing/state/keyspace"
)

// TestTranscripts runs testdata/transcripts; `go test -run Transcripts -rewrite` writes them anew, to be reviewed as a
// diff.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		c := conversation{World: exectest.New(), holds: map[string][]byte{"none": make([]byte, 32), "short": make([]byte, 31)}}
		datadriven.RunTest(t, path, c.talk)
	})
}

type conversation struct {
	*exectest.World
	holds map[string][]byte // ids by the names the transcript gives
}

func (c *conversation) talk(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	as, asset, to, sum := exectest.Arg(d, "as"), exectest.Arg(d, "asset"), exectest.Arg(d, "to"), exectest.Arg(d, "amount")
	do := func(check error, run func(*exec.Env, assets.Store, accounts.Reader) error) string {
		return c.Text(c.Do(t, as, check, func(env *exec.Env, kv exec.KV) error { return run(env, assets.Open(kv), accounts.Read(kv)) }))
	}
	switch d.Cmd {
	case "genesis":
		return c.Genesis(t, d.Input)
	case "pass":
		duration, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		c.Pass(duration)
		return c.Time.Format(time.RFC3339)
	case "create":
		op := &assetsv1.Create{
			Asset: asset, Decimals: uint32(exectest.Number(t, d, "decimals")), Cap: exectest.Arg(d, "cap"),
			MintRole: exectest.Arg(d, "mint-role"), FreezeRole: exectest.Arg(d, "freeze-role"),
		}
		return do(assets.CheckCreate(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.Create(env, s, who, op)
		})
	case "mint":
		op := &assetsv1.Mint{Asset: asset, To: to, Amount: sum}
		return do(assets.CheckMint(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.Mint(env, s, who, op)
		})
	case "burn":
		op := &assetsv1.Burn{Asset: asset, Amount: sum}
		return do(assets.CheckBurn(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.Burn(env, s, who, op)
		})
	case "transfer":
		op := &assetsv1.Transfer{Asset: asset, To: to, Amount: sum}
		return do(assets.CheckTransfer(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.Transfer(env, s, who, op)
		})
	case "freeze", "unfreeze":
		op := &assetsv1.SetFrozen{Asset: asset, Account: exectest.Arg(d, "account"), Frozen: d.Cmd == "freeze"}
		return do(assets.CheckSetFrozen(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.SetFrozen(env, s, who, op)
		})
	case "open-hold":
		op := &assetsv1.OpenHold{Asset: asset, To: to, Amount: sum, Arbiter: exectest.Arg(d, "arbiter"), Deadline: c.deadline(t, d)}
		id := assets.HoldID(exectest.TxID(c.Height+1), 0)
		c.holds[exectest.Arg(d, "hold")] = id[:]
		c.Name(id[:], exectest.Arg(d, "hold"))
		return do(assets.CheckOpenHold(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.OpenHold(env, s, who, op)
		})
	case "release":
		op := &assetsv1.ReleaseHold{HoldId: c.holds[exectest.Arg(d, "hold")]}
		return do(assets.CheckReleaseHold(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.ReleaseHold(env, s, who, op)
		})
	case "cancel":
		op := &assetsv1.CancelHold{HoldId: c.holds[exectest.Arg(d, "hold")]}
		return do(assets.CheckCancelHold(op), func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.CancelHold(env, s, who, op)
		})
	case "state":
		return c.dump(t)
	}
	t.Fatalf("unknown command %q", d.Cmd)
	return ""
}

// deadline reads a duration from the newest block on, a time, or nothing.
func (c *conversation) deadline(t *testing.T, d *datadriven.TestData) *timestamppb.Timestamp {
	t.Helper()
	text := exectest.Arg(d, "deadline")
	if text == "" {
		return nil
	}
	if duration, err := time.ParseDuration(text); err == nil {
		return timestamppb.New(c.Time.Add(duration))
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return timestamppb.New(at)
}

func (c *conversation) dump(t *testing.T) string {
	t.Helper()
	r := assets.Read(c.State)
	parts := []string{
		c.Leaves(t, keyspace.PrefixAssets, c.Messages(new(assetsv1.Asset))),
		c.Leaves(t, keyspace.PrefixBalances, func(key, _ []byte) (string, error) {
			parts := strings.Split(string(key[1:]), "\x00")
			asset, account := parts[0]+"/"+parts[1], parts[2]+"/"+parts[3]
			h, err := r.Holding(asset, account)
			return fmt.Sprintf("%s %s: balance %s, held %s, frozen %v", asset, account, h.Balance, h.Held, h.Frozen), err
		}),
		c.Leaves(t, keyspace.PrefixHolds, c.Messages(new(assetsv1.Hold))),
	}
	checks, err := assets.SumSupply(c.State)
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range checks {
		parts = append(parts, "sum: "+c.Message(check))
	}
	return strings.Join(parts, "\n")
}
