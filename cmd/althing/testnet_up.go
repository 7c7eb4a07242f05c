package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/testnet"
)

// testnetNode is a node as `testnet up` and `testnet compose` print it.
type testnetNode struct {
	Name string `json:"name"`
	Org  string `json:"org"`
	GRPC string `json:"grpc"`
	Home string `json:"home"`
	PID  int    `json:"pid"`
}

// testnetUp is what `testnet up` prints.
type testnetUp struct {
	ChainID     string                 `json:"chain_id"`
	GenesisHash string                 `json:"genesis_hash"`
	Dir         string                 `json:"dir"`
	Nodes       []testnetNode          `json:"nodes"`
	Demo        *testnet.Demonstration `json:"demo,omitempty"`
}

func newTestnetUpCommand(s *streams) *cobra.Command {
	u := upCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a network, a new one if the directory has none",
		Long: `Start a network of validators, one per organisation, and wait until every node is ready: serving, caught up and
connected to every other. A network that is there already is started as it is; of one that runs in part, the nodes that are
missing.

Without --detach the command stays, shows how the network is doing, and stops it on Ctrl-C.`,
		Example: `  althing testnet up --demo
  althing testnet up --validators 7 --dir seven --detach`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().IntVar(&u.options.Validators, "validators", 0,
		fmt.Sprintf("how many validators a new network has, 1 to %d (default %d)", testnet.MaxValidators, testnet.DefaultValidators))
	cmd.Flags().BoolVar(&u.detach, "detach", false, "return when every node is ready and leave the network running")
	cmd.Flags().BoolVar(&u.demo, "demo", false, "create an asset, pay with it, and show what the ledger says")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("validators") {
			if err := checkValidators(u.options.Validators); err != nil {
				return err
			}
		}
		u.globals = globalsOf(cmd)
		u.dir = testnetDir(cmd)
		// A closed terminal ends a network in the foreground as Ctrl-C does.
		ctx, restore := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
		defer restore()
		return testnetError(u.run(ctx), u.dir)
	}
	return cmd
}

// upCommand is `testnet up` with what it was told.
type upCommand struct {
	*streams
	globals
	dir          string
	options      testnet.Options
	detach, demo bool
}

func (u *upCommand) run(ctx context.Context) error {
	began := time.Now()
	n, err := u.launch(ctx)
	if err == nil {
		n.Reader, err = u.reader(u.globals, n.File)
	}
	if wasInterrupted(ctx, err) {
		return u.interrupted()
	}
	if err != nil {
		return err
	}
	err = u.present(ctx, n, time.Since(began))
	if u.detach {
		return err
	}
	if err == nil && u.json {
		err = n.Watch(ctx, time.Second, func(testnet.Snapshot) {})
	} else if err == nil {
		err = newTestnetView(u.out, n).run(ctx)
	}
	u.say("Stopping the network ...\n")
	_, downErr := n.Down(context.WithoutCancel(ctx))
	if downErr == nil && wasInterrupted(ctx, err) {
		return u.interrupted()
	}
	return errors.Join(err, downErr)
}

// wasInterrupted says whether nothing but Ctrl-C ended the command, with nothing left running.
func wasInterrupted(ctx context.Context, err error) bool {
	return err != nil && errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, testnet.ErrLeftRunning)
}

func (u *upCommand) interrupted() error {
	return hint(errors.New("interrupted; everything it started is stopped"),
		"`althing testnet up --dir %s` starts it again", u.dir)
}

// say writes to people only.
func (u *upCommand) say(format string, args ...any) {
	if !u.json {
		fmt.Fprintf(u.out, format, args...)
	}
}

func (u *upCommand) launch(ctx context.Context) (*testnet.Network, error) {
	if u.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, u.timeout)
		defer cancel()
	}
	if _, err := testnet.Open(u.dir); errors.Is(err, testnet.ErrNotDirectory) {
		return nil, err
	}
	u.say("Starting the network in %s ...\n", u.dir)
	defer u.progress(ctx, "every node to be ready")()
	return testnet.Launch(ctx, u.dir, u.options, "")
}

// present prints a network that has just become ready.
func (u *upCommand) present(ctx context.Context, n *testnet.Network, took time.Duration) error {
	up, err := describeTestnet(ctx, n)
	if err != nil {
		return err
	}
	if u.json && u.demo {
		if up.Demo, err = n.Demo(ctx); err != nil {
			return err
		}
	}
	err = u.show(u.globals, up, func(w io.Writer) {
		fmt.Fprintf(w, "Network %s is ready after %.1f s: %s.\n\n", up.ChainID, took.Seconds(), plural(len(up.Nodes), "validator"))
		fmt.Fprint(w, "NODE\tGRPC\tPID\tHOME\n")
		for _, node := range up.Nodes {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", node.Name, node.GRPC, node.PID, shortPath(node.Home))
		}
	})
	if err != nil || u.json {
		return err
	}
	if u.demo {
		if err := showDemo(ctx, u.out, n); err != nil {
			return err
		}
	}
	showNextCommands(u.out, n, u.demo)
	return nil
}

func describeTestnet(ctx context.Context, n *testnet.Network) (testnetUp, error) {
	up := testnetUp{ChainID: n.File.ChainID, GenesisHash: n.File.GenesisHash, Dir: n.Dir}
	nodes, err := n.Status(ctx)
	if err != nil {
		return testnetUp{}, err
	}
	for _, s := range nodes {
		up.Nodes = append(up.Nodes, testnetNode{Name: s.Name, Org: s.Org, GRPC: s.GRPC, Home: s.Home, PID: s.PID})
	}
	return up, nil
}

// showDemo runs the demonstration and prints every transaction with what one would type for it.
func showDemo(ctx context.Context, out io.Writer, n *testnet.Network) error {
	d, err := n.Demo(ctx)
	if d != nil {
		fmt.Fprintln(out)
		for _, step := range d.Steps {
			outcome := step.Status
			if step.Code != 0 {
				outcome += ", for it is there already,"
			}
			fmt.Fprintf(out, "%s\n  $ althing --network %s %s\n  %s in block %d after %d ms, id %s\n",
				step.What, shortPath(n.Dir), step.Command, outcome, step.Height, step.Milliseconds, step.ID)
		}
		for _, b := range d.Balances {
			fmt.Fprintf(out, "%s says: %s has %s %s at height %d\n", b.Node, b.Account, b.Amount, b.Asset, b.Height)
		}
	}
	return err
}

func showNextCommands(out io.Writer, n *testnet.Network, demo bool) {
	dir := shortPath(n.Dir)
	fmt.Fprintf(out, "\nNext:\n  althing --network %s status\n", dir)
	if demo {
		fmt.Fprintf(out, "  althing --network %s asset transfer acme/usd 1.00 --to acme/admin --as acme/treasury\n", dir)
	} else {
		fmt.Fprintf(out, "  althing --network %s asset create acme/usd --decimals 2 --as acme/admin\n", dir)
	}
	fmt.Fprintf(out, "  althing testnet logs --dir %s\n  althing testnet down --dir %[1]s\n\n", dir)
}
