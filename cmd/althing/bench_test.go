package main

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/loadgen"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// counted reads the blocks that the result on stdout is about, and makes sure that it counts what they hold.
func counted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: counted")
	}
	var result loadgen.Result
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &result))
	network, err := client.LoadNetwork(ts.Getenv(networkVariable))
	ts.Check(err)
	c, err := client.Dial(network, client.Config{})
	ts.Check(err)
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var applied, all uint64
	for height := result.Chain.From; height <= result.Chain.To; height++ {
		block, err := c.Block(ctx, height)
		ts.Check(err)
		for _, o := range block.Outcomes {
			all++
			if o.Code == ledgerv1.Code_CODE_OK {
				applied++
			}
		}
	}
	if all == 0 || applied != result.Total+result.Generator.FoundLater || all != result.Chain.Txs || result.Committed > applied {
		ts.Fatalf("blocks %d to %d hold %d transactions, %d of them applied; the result counts %d, %d and %d of them later",
			result.Chain.From, result.Chain.To, all, applied, result.Chain.Txs, result.Total, result.Generator.FoundLater)
	}
}

func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: appears FILE")
	}
	for deadline := time.Now().Add(liveTimeout); ; <-time.After(20 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("there is no %s after %v", args[0], liveTimeout)
		}
	}
}
