package main

import (
	"testing"
	"time"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/governance"
)

// What the network under a default charter does, the yardstick does too.
func TestAsDefaultCharter(t *testing.T) {
	charter := governance.Defaults()
	if want := int64(charter.MaxBlockBytes) + app.BlockOverhead; consensusParams().Block.MaxBytes != want {
		t.Errorf("blocks have at most %d bytes, those of Althing %d", consensusParams().Block.MaxBytes, want)
	}
	c := engineConfig(t.TempDir(), "127.0.0.1:0", "", flood)
	if want := time.Duration(charter.BlockIntervalMs) * time.Millisecond; c.Consensus.TimeoutCommit != want {
		t.Errorf("the pause between blocks is %v, that of Althing %v", c.Consensus.TimeoutCommit, want)
	}
	for _, mempool := range []string{flood, appPool} {
		if err := engineConfig(t.TempDir(), "127.0.0.1:0", "", mempool).ValidateBasic(); err != nil {
			t.Errorf("%s: %v", mempool, err)
		}
	}
}
