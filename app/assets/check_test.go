package assets_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app/assets"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// TestChecks asks about each field of each operation, most of all those that the transcripts leave out.
func TestChecks(t *testing.T) {
	t.Parallel()
	const (
		ok        = ledgerv1.Code_CODE_OK
		badName   = ledgerv1.Code_CODE_BAD_NAME
		badField  = ledgerv1.Code_CODE_BAD_FIELD
		badAmount = ledgerv1.Code_CODE_BAD_AMOUNT
	)
	at, id := &timestamppb.Timestamp{Seconds: 1_800_000_000}, make([]byte, 32)
	usd, bob := "acme/usd", "globex/bob"
	for name, test := range map[string]struct {
		err  error
		code ledgerv1.Code
	}{
		"create":                 {assets.CheckCreate(&assetsv1.Create{Asset: usd, Decimals: 18, Cap: "1", MintRole: "mm", FreezeRole: "ff"}), ok},
		"create nothing":         {assets.CheckCreate(&assetsv1.Create{}), badName},
		"create reserved":        {assets.CheckCreate(&assetsv1.Create{Asset: "althing/usd"}), badName},
		"create bad freeze role": {assets.CheckCreate(&assetsv1.Create{Asset: usd, FreezeRole: "f"}), badName},
		"mint":                   {assets.CheckMint(&assetsv1.Mint{Asset: usd, To: bob, Amount: "1"}), ok},
		"mint nothing":           {assets.CheckMint(&assetsv1.Mint{}), badName},
		"mint to nobody":         {assets.CheckMint(&assetsv1.Mint{Asset: usd, Amount: "1"}), badName},
		"mint no amount":         {assets.CheckMint(&assetsv1.Mint{Asset: usd, To: bob}), badAmount},
		"burn":                   {assets.CheckBurn(&assetsv1.Burn{Asset: usd, Amount: "1"}), ok},
		"burn nothing":           {assets.CheckBurn(&assetsv1.Burn{}), badName},
		"burn zero":              {assets.CheckBurn(&assetsv1.Burn{Asset: usd, Amount: "0"}), badAmount},
		"transfer":               {assets.CheckTransfer(&assetsv1.Transfer{Asset: usd, To: bob, Amount: "1"}), ok},
		"transfer nothing":       {assets.CheckTransfer(&assetsv1.Transfer{}), badName},
		"transfer with a point":  {assets.CheckTransfer(&assetsv1.Transfer{Asset: usd, To: bob, Amount: "1.00"}), badAmount},
		"freeze":                 {assets.CheckSetFrozen(&assetsv1.SetFrozen{Asset: usd, Account: bob}), ok},
		"freeze nothing":         {assets.CheckSetFrozen(&assetsv1.SetFrozen{}), badName},
		"hold":                   {assets.CheckOpenHold(&assetsv1.OpenHold{Asset: usd, To: bob, Amount: "1", Deadline: at}), ok},
		"hold nothing":           {assets.CheckOpenHold(&assetsv1.OpenHold{}), badName},
		"hold for ever":          {assets.CheckOpenHold(&assetsv1.OpenHold{Asset: usd, To: bob, Amount: "1"}), badField},
		"hold with bad nanos": {assets.CheckOpenHold(&assetsv1.OpenHold{
			Asset: usd, To: bob, Amount: "1", Deadline: &timestamppb.Timestamp{Seconds: 1, Nanos: -1},
		}), badField},
		"release":         {assets.CheckReleaseHold(&assetsv1.ReleaseHold{HoldId: id}), ok},
		"release nothing": {assets.CheckReleaseHold(&assetsv1.ReleaseHold{}), badField},
		"cancel":          {assets.CheckCancelHold(&assetsv1.CancelHold{HoldId: id}), ok},
		"cancel nothing":  {assets.CheckCancelHold(&assetsv1.CancelHold{}), badField},
	} {
		if code, verdict := tx.CodeOf(test.err); !verdict || code != test.code {
			t.Errorf("%s: %v, want %s", name, test.err, tx.Reason(test.code))
		}
	}
}
