package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/files"
	"github.com/althing-ledger/althing/internal/loadgen"
	"github.com/althing-ledger/althing/internal/loadgen/network"
	"github.com/althing-ledger/althing/internal/loadgen/report"
	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/testnet"
)

// benchCommand is `bench` with what it was told.
type benchCommand struct {
	*streams
	globals
	validators int    // of a network of its own; 0: measure one that runs
	dir        string // of a network of its own
	kind       string
	scheme     string
	workload   network.Options
	load       loadgen.Config
	watchers   int
	flood      string
	readKeys   int
	proofs     bool
	down       int                                          // validators to kill
	kill       func(ctx context.Context, node string) error // how, in a network of its own
	html       string
	metrics    []string
}

func newBenchCommand(s *streams) *cobra.Command {
	b := benchCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put a network under load and measure it",
		Long: `Put a network under load and measure what it commits. --testnet makes a network of processes on this machine, measures it
and removes it; without it, the network of --network is measured, on which accounts and assets are created that stay there.

Without --rate the loop is closed: so many transactions are in flight per node, and an answer makes the next one due. With
it, transactions are due at that rate whatever the network does, and latency runs from when they were due.

A transaction counts when it was found in a block with code 0. The command exits 1 when nodes end with different app
hashes, when one cannot be asked for its own, or when a transaction was acknowledged that is in no block.`,
		Example: `  althing bench --testnet 4
  althing bench --testnet 4 --scheme schnorr --accounts 100000 --for 30s --output json
  althing bench --network net --rate 2000 --for 1m --html result.html
  althing bench --testnet 4 --rate 300 --flood 5000:acme
  althing bench --testnet 4 --down 1
  althing bench --testnet 4 --overload 3
  althing bench --testnet 4 --kind read --proofs`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.IntVar(&b.validators, "testnet", 0, fmt.Sprintf("measure a new local network of `N` validators, 1 to %d, and remove it", testnet.MaxValidators))
	f.StringVar(&b.dir, "dir", "", "`DIR` for the network of --testnet, which must not exist (default: a temporary one)")
	f.StringVar(&b.kind, "kind", string(network.Transfer), "transactions: `transfer|dvp|record|mixed`; or read, for no transactions but reads from one node")
	f.StringVar(&b.scheme, "scheme", keys.SchemeSchnorr.String(), "keys of the senders: `schnorr|ecdsa|ed25519`")
	f.IntVar(&b.workload.Accounts, "accounts", 10_000, "how many accounts to create and fund")
	f.IntVar(&b.workload.Senders, "senders", 0, "how many of them send (default 2000, or all)")
	f.Float64Var(&b.workload.Hot, "hot", 0, "`SHARE` of the payments, 0 to 1, that go to ten accounts")
	f.IntVar(&b.workload.RecordBytes, "record-bytes", 256, "size of a record's content")
	f.IntVar(&b.workload.MemoBytes, "tx-memo-bytes", 0, "size of the memo of every transaction, up to 256")
	f.Float64Var(&b.load.Rate, "rate", 0, "transactions due per second, over all nodes (default: a closed loop)")
	f.IntVar(&b.load.InFlight, "in-flight", 1000, fmt.Sprintf("transactions in flight per node in a closed loop; with --kind read: calls, %d if not given", readsInFlight))
	f.Float64Var(&b.load.Guess, "sign-ahead", 12_000, "transactions per second of a closed loop to sign before it begins")
	f.IntVar(&b.load.Backlog, "backlog", 0, "transactions of a rate that may be due and not sent; more are errors (default: those of 2 s)")
	f.DurationVar(&b.load.Ramp, "ramp", 2*time.Second, "how long the load grows")
	f.DurationVar(&b.load.Warmup, "warmup", 3*time.Second, "how long it then is not measured")
	f.DurationVar(&b.load.For, "for", 30*time.Second, "how long it is measured")
	f.Float64Var(&b.load.Reads, "verified-reads", 0, "balances read per second, each with its proof checked")
	f.IntVar(&b.watchers, "watchers", 0, "how many watch the blocks meanwhile")
	f.StringVar(&b.flood, "flood", "", "one organisation floods: `RATE[:ORG]`; the others are measured before and meanwhile")
	f.IntVar(&b.down, "down", 0, "with --testnet: measure, kill `COUNT` validators and measure the others again")
	f.Float64Var(&b.load.Overload, "overload", 0, "measure the peak in a closed loop, then offer `FACTOR` times as much at a fixed rate")
	f.IntVar(&b.readKeys, "read-keys", 100, fmt.Sprintf("with --kind read: balances read in a call, 1 to %d", network.MaxPage))
	f.BoolVar(&b.proofs, "proofs", false, "with --kind read: every answer comes with its proof, which is checked")
	f.StringVar(&b.html, "html", "", "write a page with plots to this `FILE`")
	f.StringArrayVar(&b.metrics, "metrics", nil, "where a node of another machine serves metrics: `NODE=HOST:PORT`; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b.globals = globalsOf(cmd)
		if err := b.understand(cmd); err != nil {
			return err
		}
		// A closed terminal ends it as Ctrl-C does: nothing stays behind.
		ctx, restore := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
		defer restore()
		return b.run(ctx)
	}
	return cmd
}

// understand checks the flags, all before anything is started.
func (b *benchCommand) understand(cmd *cobra.Command) (err error) {
	if err := b.understandReading(cmd); err != nil {
		return err
	}
	if cmd.Flags().Changed("testnet") {
		if b.validators < 1 || b.validators > testnet.MaxValidators {
			return usagef("--testnet %d: a local network has 1 to %d validators", b.validators, testnet.MaxValidators)
		}
		if cmd.Flags().Changed("network") {
			return usagef("--testnet makes a network of its own: leave --network out")
		}
		if _, err := os.Lstat(b.dir); b.dir != "" && err == nil {
			return usagef("--dir %s exists: name a directory that does not, it is removed in the end", b.dir)
		}
	} else if b.dir != "" {
		return usagef("--dir is for the network of --testnet")
	}
	if b.load.Rate > 0 && cmd.Flags().Changed("in-flight") {
		return usagef("--in-flight is for a closed loop: leave it or --rate out")
	}
	if cmd.Flags().Changed("rate") && !(b.load.Rate > 0) {
		return usagef("--rate is %v: it is above 0; leave it out for a closed loop", b.load.Rate)
	}
	if b.load.Rate > 0 && cmd.Flags().Changed("sign-ahead") {
		return usagef("--sign-ahead is for a closed loop: how many a --rate needs is known")
	}
	if cmd.Flags().Changed("backlog") && b.load.Rate == 0 {
		return usagef("--backlog is for a --rate")
	}
	if err := b.understandDown(cmd.Flags().Changed("down")); err != nil {
		return err
	}
	if cmd.Flags().Changed("overload") && !(b.load.Overload > 0) {
		return usagef("--overload is %v: it is above 0; 3 offers three times the peak", b.load.Overload)
	}
	// A zero stands for a default below; on the command line it is a mistake.
	for _, name := range []string{"in-flight", "backlog", "accounts", "senders", "record-bytes", "sign-ahead"} {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "0" {
			return usagef("--%s 0: it is at least 1", name)
		}
	}
	for _, m := range b.metrics {
		if name, address, _ := strings.Cut(m, "="); name == "" || address == "" {
			return usagef("--metrics %s: it is NODE=HOST:PORT", m)
		}
	}
	if b.load.For <= 0 {
		return usagef("--for is %v: it is above 0", b.load.For)
	}
	if b.watchers < 0 || b.watchers > maxBenchWatchers {
		return usagef("--watchers is %d: it is 0 to %d", b.watchers, maxBenchWatchers)
	}
	if b.flood != "" {
		rate, org, _ := strings.Cut(b.flood, ":")
		parsed, err := strconv.ParseFloat(rate, 64)
		if err != nil {
			return usagef("--flood %s: it is RATE or RATE:ORG, such as 5000:acme", b.flood)
		}
		b.load.Flood = &loadgen.Flood{Rate: parsed, Org: org}
	}
	b.workload.Kind = network.Kind(b.kind)
	if b.reading() {
		b.workload.Kind, b.workload.Senders = network.Transfer, 1
	}
	if !b.reading() && !slices.Contains(network.Kinds, b.workload.Kind) {
		return usagef("--kind %.40q: it is transfer, dvp, record, mixed or read", b.kind)
	}
	if b.workload.Scheme, err = keys.ParseScheme(b.scheme); err != nil {
		return usageError(fmt.Errorf("--scheme: %w", err))
	}
	checked := b.load
	checked.Read = func(context.Context) error { return nil }
	checked.Watches = make([]func(context.Context, func(uint64)) error, b.watchers)
	if b.down > 0 {
		checked.Down = &loadgen.Down{Nodes: make([]int, b.down), Stop: func(context.Context, string) error { return nil }}
	}
	if err := errors.Join(b.workload.Validate(), checked.Validate()); err != nil {
		return usageError(err)
	}
	return checkWritable(b.html)
}

// understandDown checks --down: what is left must still commit.
func (b *benchCommand) understandDown(wanted bool) error {
	switch {
	case !wanted:
		return nil
	case b.validators == 0:
		return usagef("--down kills validators: only those of a --testnet")
	case b.down < 1:
		return usagef("--down %d: it is at least 1", b.down)
	case b.down >= b.validators || !testnet.Suffices(uint64(b.validators-b.down), uint64(b.validators)):
		return usagef("--down %d: of %d validators, %d are left, which must be more than two thirds to commit anything: make a larger network",
			b.down, b.validators, max(0, b.validators-b.down))
	}
	return nil
}

// maxBenchWatchers bounds --watchers: a node lets one client have so many.
const maxBenchWatchers = 250

// measured is what came out, of either kind of result.
type measured struct {
	result      any
	text        func(io.Writer)
	page        func() ([]byte, error)
	faults      []string
	unreachable int // how many of the faults are of nodes that do not answer
	interrupted bool
}

// run measures, and shows what came out.
func (b *benchCommand) run(ctx context.Context) error {
	if b.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.timeout)
		defer cancel()
	}
	m, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if b.html != "" {
		page, err := m.page()
		if err != nil {
			return err
		}
		if err := files.Replace(b.html, page, 0o644); err != nil {
			return badPath(b.html, err)
		}
	}
	if err := b.show(b.globals, m.result, m.text); err != nil {
		return err
	}
	switch {
	case len(m.faults) > 0 && len(m.faults) == m.unreachable:
		return hint(errors.New(m.faults[0]), "the figures are good for the nodes that answer; the log of the other says why it does not")
	case len(m.faults) > 0:
		return hint(errors.New(m.faults[0]), "keep the nodes' directories and logs, and report it: these nodes must not be relied on")
	case m.interrupted:
		return hint(errors.New("interrupted"), "the figures are of what was measured until then")
	}
	return nil
}

// measure runs the load on the network of --network, or on one that exists only for it.
func (b *benchCommand) measure(ctx context.Context) (m *measured, err error) {
	if b.validators == 0 {
		file, err := b.loadNetwork(b.globals)
		if err != nil {
			return nil, err
		}
		return b.loadOn(ctx, file)
	}
	made := b.dir // what is removed in the end
	if made == "" {
		if made, err = os.MkdirTemp("", "althing-bench-"); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(made)) }()
	dir := made
	if b.dir == "" {
		dir = filepath.Join(made, "net")
	}
	finish := b.progress(ctx, "every node to be ready")
	n, err := testnet.Launch(ctx, dir, testnet.Options{Validators: b.validators, Name: "bench"}, "")
	finish()
	if err != nil {
		return nil, testnetError(err, dir)
	}
	defer func() {
		_, downErr := n.Down(context.WithoutCancel(ctx))
		err = errors.Join(err, downErr)
	}()
	b.kill = n.Kill
	return b.loadOn(ctx, n.File)
}

// loadOn runs the load on a network that runs.
func (b *benchCommand) loadOn(ctx context.Context, file *client.Network) (m *measured, err error) {
	token, err := b.reader(b.globals, file)
	if err != nil {
		return nil, err
	}
	processes, err := b.processes(ctx, file)
	if err != nil {
		return nil, err
	}
	target, err := network.Dial(file, token, processes)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	work, err := network.New(file, b.workload)
	if err != nil {
		return nil, err
	}
	if b.reading() {
		return b.readFrom(ctx, file, token, target, work)
	}
	c := b.load
	if c.Reads > 0 {
		reader, err := work.Reader(token)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, reader.Close()) }()
		c.Read = reader.Read
	}
	for i := range b.watchers {
		c.Watches = append(c.Watches, target.Watch(i))
	}
	if b.down > 0 {
		c.Down = &loadgen.Down{Stop: b.kill}
		for i := len(file.Nodes) - b.down; i < len(file.Nodes); i++ {
			c.Down.Nodes = append(c.Down.Nodes, i)
		}
	}
	bar := newBar(b.streams)
	defer bar.clear()
	c.Progress = bar.show
	r, err := loadgen.Run(ctx, target, work, c)
	if err != nil {
		return nil, err
	}
	return &measured{
		result: r, faults: r.Faults, unreachable: len(r.Unreachable), interrupted: r.Interrupted,
		text: func(w io.Writer) { report.Text(w, r) },
		page: func() ([]byte, error) { return report.HTML(r) },
	}, nil
}

// processes says how to look at the nodes: at their processes on this machine, else at the metrics that they serve.
func (b *benchCommand) processes(ctx context.Context, file *client.Network) (map[string]loadgen.Process, error) {
	found := map[string]loadgen.Process{}
	path := b.network
	if path == "" {
		path = b.getenv(networkVariable)
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	if b.validators > 0 {
		path = filepath.Dir(file.KeysDir)
	}
	if n, err := testnet.Open(path); err == nil {
		status, err := n.Status(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range status {
			switch {
			case s.PID > 0:
				found[s.Name] = loadgen.LocalProcess{PID: s.PID, Dir: s.Home}
			case s.Metrics != "":
				found[s.Name] = network.NewMetricsPage(s.Metrics)
			}
		}
	}
	for _, m := range b.metrics {
		name, address, _ := strings.Cut(m, "=")
		if !slices.ContainsFunc(file.Nodes, func(n client.Node) bool { return n.Name == name }) {
			return nil, usagef("--metrics %s: the network has no node %s", m, name)
		}
		found[name] = network.NewMetricsPage(address)
	}
	return found, nil
}
