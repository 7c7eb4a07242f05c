package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/loadgen"
	"github.com/althing-ledger/althing/internal/loadgen/network"
	"github.com/althing-ledger/althing/internal/loadgen/report"
)

const (
	// kindRead is the value of --kind that sends no transactions.
	kindRead = "read"
	// readsInFlight is how many calls are under way if nothing is said.
	readsInFlight = 16
)

func (b *benchCommand) reading() bool { return b.kind == kindRead }

// understandReading checks the flags of --kind read, and that nothing else has them.
func (b *benchCommand) understandReading(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	if !b.reading() {
		for _, name := range []string{"read-keys", "proofs"} {
			if changed(name) {
				return usagef("--%s is for --kind read", name)
			}
		}
		if b.node != "" {
			return usagef("--node: the load goes to all nodes; name a network file with fewer, or read from one with --kind read")
		}
		return nil
	}
	for _, name := range []string{
		"senders", "hot", "scheme", "record-bytes", "tx-memo-bytes", "rate", "sign-ahead", "backlog", "verified-reads", "watchers", "flood", "down", "overload",
	} {
		if changed(name) {
			return usagef("--%s is for transactions: --kind read sends none", name)
		}
	}
	if b.readKeys < 1 || b.readKeys > network.MaxPage {
		return usagef("--read-keys %d: a call reads 1 to %d", b.readKeys, network.MaxPage)
	}
	if !changed("in-flight") {
		b.load.InFlight = readsInFlight
	}
	if b.proofs && b.unverified {
		return usagef("--proofs checks what --unverified believes: leave one out")
	}
	if err := b.asReading().Validate(); err != nil {
		return usageError(err)
	}
	return nil
}

// asReading returns what the flags say of a reading. The ramp of calls that are all under way at once is part of the warm-up.
func (b *benchCommand) asReading() loadgen.Reading {
	return loadgen.Reading{InFlight: b.load.InFlight, Warmup: b.load.Ramp + b.load.Warmup, For: b.load.For}
}

// readFrom makes the accounts, and reads them from one node.
func (b *benchCommand) readFrom(
	ctx context.Context, file *client.Network, token *client.TokenSource, target *network.Target, work *network.Workload,
) (m *measured, err error) {
	node := 0
	if b.node != "" {
		if node = slices.IndexFunc(file.Nodes, func(n client.Node) bool { return n.Name == b.node }); node < 0 {
			return nil, usagef("--node %s: the network has no such node", b.node)
		}
	}
	bar := newBar(b.streams)
	defer bar.clear()
	if err := work.Prepare(ctx, target, bar.show); err != nil {
		return nil, err
	}
	pages, err := work.Pages(file.Nodes[node].Name, b.readKeys, token)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pages.Close()) }()
	if err := pages.Find(ctx); err != nil {
		return nil, err
	}
	c := b.asReading()
	c.Workload, c.Node, c.Progress = pages.Describe(b.proofs), node, bar.show
	c.Call = pages.Read
	if b.proofs {
		c.Call, c.Unchecked = pages.ReadChecked, pages.ReadProven
	}
	r, err := loadgen.RunReading(ctx, target, c)
	if err != nil {
		return nil, err
	}
	return &measured{
		result: r, faults: r.Faults, interrupted: r.Interrupted,
		text: func(w io.Writer) { report.ReadingText(w, r) },
		page: func() ([]byte, error) { return report.ReadingHTML(r) },
	}, nil
}
