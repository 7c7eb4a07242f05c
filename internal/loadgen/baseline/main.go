package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/althing-ledger/althing/internal/files"
	"github.com/althing-ledger/althing/internal/loadgen"
	"github.com/althing-ledger/althing/internal/loadgen/report"
)

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == nodeCommand {
		err = runNode(os.Args[2:])
	} else {
		// A closed terminal ends it as Ctrl-C does: nothing stays behind.
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
		stop()
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "baseline:", err)
		os.Exit(1)
	}
}

// errUsage is returned for a command line that is not understood; why has been said.
var errUsage = errors.New("usage")

// errInterrupted is returned when the figures are of what was measured until the interruption.
var errInterrupted = errors.New("interrupted")

// order is what the command line says.
type order struct {
	options
	load    loadgen.Config
	dir     string
	output  string
	html    string
	size    int
	senders int
}

func parse(args []string, messages io.Writer) (o order, err error) {
	flags := flag.NewFlagSet("baseline", flag.ContinueOnError)
	flags.SetOutput(messages)
	flags.IntVar(&o.validators, "validators", 4, "how many validators vote")
	flags.StringVar(&o.mempool, "mempool", flood, "the engine's mempool: flood, which is its default, or app")
	flags.IntVar(&o.keys, "keys", 100_000, "distinct keys")
	flags.IntVar(&o.size, "tx-bytes", 250, "size of a transaction, in bytes")
	flags.IntVar(&o.senders, "senders", 2000, "senders, spread over the validators")
	flags.DurationVar(&o.load.For, "for", 30*time.Second, "how long it is measured")
	flags.Float64Var(&o.load.Rate, "rate", 0, "transactions due per second, over all validators; 0: a closed loop")
	flags.IntVar(&o.load.InFlight, "in-flight", 1000, "transactions in flight per validator in a closed loop")
	flags.DurationVar(&o.load.Ramp, "ramp", 2*time.Second, "how long the load grows")
	flags.DurationVar(&o.load.Warmup, "warmup", 3*time.Second, "how long it then is not measured")
	flags.StringVar(&o.dir, "dir", "", "where to make the network's directory, which is removed in the end (default the system's temporary directory)")
	flags.StringVar(&o.output, "output", "text", "text or json")
	flags.StringVar(&o.html, "html", "", "write a page with plots to this file")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, err
	} else if err != nil {
		return o, errUsage
	}
	var problems []error
	within := func(name string, value, least, most int) {
		if value < least || value > most {
			problems = append(problems, fmt.Errorf("-%s is %d, it is %d to %d", name, value, least, most))
		}
	}
	within("validators", o.validators, 1, maxValidators)
	within("keys", o.keys, 1, maxKeys)
	within("tx-bytes", o.size, minTxSize, maxTxSize)
	within("senders", o.senders, o.validators, maxKeys)
	if o.mempool != flood && o.mempool != appPool {
		problems = append(problems, fmt.Errorf("-mempool is %q, it is %s or %s", o.mempool, flood, appPool))
	}
	if o.output != "text" && o.output != "json" {
		problems = append(problems, fmt.Errorf("-output is %q, it is text or json", o.output))
	}
	if !(o.load.Rate >= 0) {
		problems = append(problems, fmt.Errorf("-rate is %v, it is 0 or more", o.load.Rate))
	}
	if flags.NArg() > 0 {
		problems = append(problems, fmt.Errorf("what is %q? there are only flags", flags.Arg(0)))
	}
	if err := errors.Join(append(problems, o.load.Validate())...); err != nil {
		fmt.Fprintln(messages, err)
		return o, errUsage
	}
	return o, nil
}

// run makes a network, measures and removes it.
func run(ctx context.Context, args []string, results, messages io.Writer) (err error) {
	o, err := parse(args, messages)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "althing-baseline-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	phase := ""
	o.load.Progress = func(now string, _, _ int) {
		if now != phase {
			fmt.Fprintln(messages, now)
		}
		phase = now
	}
	o.load.Progress(fmt.Sprintf("start %d validators", o.validators), 0, 0)
	n, err := start(ctx, dir, o.options)
	if err != nil {
		return fmt.Errorf("start the network: %w", err)
	}
	result, err := loadgen.Run(ctx, n, &keyValue{keys: o.keys, size: o.size, senders: o.senders, nodes: o.validators}, o.load)
	if err := errors.Join(err, n.stop()); err != nil {
		return err
	}
	if err := o.tell(result, results); err != nil {
		return err
	}
	switch {
	case len(result.Faults) > 0:
		return errors.New(result.Faults[0])
	case result.Interrupted:
		return errInterrupted
	}
	return nil
}

// tell shows the result as the command line wants it.
func (o order) tell(result *loadgen.Result, to io.Writer) error {
	if o.html != "" {
		page, err := report.HTML(result)
		if err == nil {
			err = files.Replace(o.html, page, 0o644)
		}
		if err != nil {
			return fmt.Errorf("write the page: %w", err)
		}
	}
	if o.output == "text" {
		report.Text(to, result)
		return nil
	}
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}
