package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/testnet"
)

// defaultTestnet is where a local network lies if nothing else is said.
const defaultTestnet = "althing-testnet"

// newTestnetCommand returns the commands that make and run local networks.
func newTestnetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "testnet",
		Short: "Run a network on this machine, as processes or in containers",
		Args:  cobra.NoArgs,
	}
	cmd.PersistentFlags().String("dir", defaultTestnet, "directory of the network")
	cmd.AddCommand(
		newTestnetUpCommand(),
		newTestnetDownCommand(),
		newTestnetStatusCommand(),
		newTestnetLogsCommand(),
		newTestnetNodeCommand(),
		newTestnetComposeCommand(),
	)
	return cmd
}

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

func newTestnetUpCommand() *cobra.Command {
	var options testnet.Options
	var detach, demo bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a network, a new one if the directory has none",
		Long: `Start a network of validators, one per organisation, and wait until every node is ready: serving, caught up and
connected to every other. A directory that has a network is started again as it is.

Without --detach the command stays, shows how the network is doing, and stops it on Ctrl-C.`,
		Example: `  althing testnet up --demo
  althing testnet up --validators 7 --dir /tmp/seven --detach`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().IntVar(&options.Validators, "validators", 0,
		fmt.Sprintf("how many validators a new network has, 1 to %d (default %d)", testnet.MaxValidators, testnet.DefaultValidators))
	cmd.Flags().BoolVar(&detach, "detach", false, "return when every node is ready and leave the network running")
	cmd.Flags().BoolVar(&demo, "demo", false, "create an asset, pay with it, and show what the ledger says")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("validators") && options.Validators == 0 {
			options.Validators = -1 // zero is how a program says that it does not care
		}
		return runTestnetUp(cmd, options, detach, demo)
	}
	return cmd
}

func runTestnetUp(cmd *cobra.Command, options testnet.Options, detach, demo bool) error {
	// A closed terminal ends a network in the foreground as Ctrl-C does.
	ctx, restore := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer restore()
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if !wantsJSON(cmd) {
		say(out, "Starting the network in %s ...\n", dir)
	}
	began := time.Now()
	n, err := testnet.Launch(ctx, dir, options, "")
	if err != nil {
		return testnetError(err, dir)
	}
	err = showTestnet(ctx, cmd, n, time.Since(began), demo)
	if detach {
		return testnetError(err, dir)
	}
	if err == nil && wantsJSON(cmd) {
		err = n.Watch(ctx, time.Second, func(testnet.Snapshot) {})
	} else if err == nil {
		err = newTestnetView(out, n).run(ctx)
	}
	restore() // a second Ctrl-C ends this command and leaves the nodes running
	if !wantsJSON(cmd) {
		say(out, "Stopping ...\n")
	}
	_, downErr := n.Down(context.WithoutCancel(ctx))
	return testnetError(errors.Join(err, downErr), dir)
}

// showTestnet prints a network that has just become ready.
func showTestnet(ctx context.Context, cmd *cobra.Command, n *testnet.Network, took time.Duration, demo bool) error {
	up, err := describeTestnet(ctx, n)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if wantsJSON(cmd) {
		if demo {
			if up.Demo, err = n.Demo(ctx); err != nil {
				return err
			}
		}
		return printJSON(cmd, up)
	}
	say(out, "Network %s is ready after %.1f s: %d validators.\n\n", up.ChainID, took.Seconds(), len(up.Nodes))
	table := newTable(out)
	table.row("NODE", "GRPC", "PID", "HOME")
	for _, node := range up.Nodes {
		table.row(node.Name, node.GRPC, fmt.Sprint(node.PID), shortPath(node.Home))
	}
	if err := table.flush(); err != nil {
		return err
	}
	if demo {
		if err := showDemo(ctx, out, n); err != nil {
			return err
		}
	}
	showNextCommands(out, n, demo)
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
		say(out, "\n")
		for _, step := range d.Steps {
			outcome := step.Status
			if step.Code != 0 {
				outcome += ", for it is there already,"
			}
			say(out, "%s\n  $ althing --network %s %s\n  %s in block %d after %d ms, id %s\n",
				step.What, shortPath(n.Dir), step.Command, outcome, step.Height, step.Milliseconds, step.ID)
		}
		for _, b := range d.Balances {
			say(out, "%s says: %s has %s %s at height %d\n", b.Node, b.Account, b.Amount, b.Asset, b.Height)
		}
	}
	return err
}

func showNextCommands(out io.Writer, n *testnet.Network, demo bool) {
	dir := shortPath(n.Dir)
	say(out, "\nNext:\n")
	say(out, "  althing --network %s status\n", dir)
	if demo {
		say(out, "  althing --network %s asset transfer acme/usd 1.00 --to acme/admin --as acme/treasury\n", dir)
	} else {
		say(out, "  althing --network %s asset create acme/usd --decimals 2 --as acme/admin\n", dir)
	}
	say(out, "  althing testnet logs --dir %s\n", dir)
	say(out, "  althing testnet down --dir %s\n\n", dir)
}

func newTestnetDownCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "down",
		Short:   "Stop a network; the directory keeps the ledger",
		Example: "  althing testnet down --dir althing-testnet",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, dir, err := openTestnet(cmd)
			if err != nil {
				return err
			}
			stopped, err := n.Down(cmd.Context())
			if err != nil {
				return testnetError(err, dir)
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"chain_id": n.File.ChainID, "dir": n.Dir, "stopped": stopped})
			}
			if stopped == 0 {
				say(cmd.OutOrStdout(), "Nothing was running.\n")
				return nil
			}
			say(cmd.OutOrStdout(), "Stopped %d nodes.\n", stopped)
			return nil
		},
	}
}

// testnetStatus is what `testnet status` prints.
type testnetStatus struct {
	ChainID     string               `json:"chain_id"`
	GenesisHash string               `json:"genesis_hash"`
	Dir         string               `json:"dir"`
	Nodes       []testnet.NodeStatus `json:"nodes"`
}

func newTestnetStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show every node of a network",
		Example: "  althing testnet status --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, dir, err := openTestnet(cmd)
			if err != nil {
				return err
			}
			nodes, err := n.Status(cmd.Context())
			if err != nil {
				return testnetError(err, dir)
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, testnetStatus{ChainID: n.File.ChainID, GenesisHash: n.File.GenesisHash, Dir: n.Dir, Nodes: nodes})
			}
			say(cmd.OutOrStdout(), "Network %s\n\n", n.File.ChainID)
			return showNodes(cmd.OutOrStdout(), nodes)
		},
	}
}

func newTestnetLogsCommand() *cobra.Command {
	var options testnet.LogOptions
	cmd := &cobra.Command{
		Use:   "logs [NODE]",
		Short: "Show the logs of all nodes, or of one",
		Example: `  althing testnet logs
  althing testnet logs globex-1 --lines 100 --follow`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, dir, err := openTestnet(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				options.Node = args[0]
			}
			ctx, restore := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer restore()
			return testnetError(n.Logs(ctx, cmd.OutOrStdout(), options), dir)
		},
	}
	cmd.Flags().IntVar(&options.Lines, "lines", 20, "how many of the last lines of each log to show")
	cmd.Flags().BoolVarP(&options.Follow, "follow", "f", false, "show new lines as they come, until Ctrl-C")
	return cmd
}

func newTestnetNodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Stop, kill and start single nodes of a network",
		Args:  cobra.NoArgs,
	}
	type action func(*testnet.Network, context.Context, string) error
	add := func(verb, short string, do action) {
		cmd.AddCommand(&cobra.Command{
			Use:     verb + " NODE",
			Short:   short,
			Example: "  althing testnet node " + verb + " globex-1",
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				n, dir, err := openTestnet(cmd)
				if err != nil {
					return err
				}
				if err := do(n, cmd.Context(), args[0]); err != nil {
					return testnetError(err, dir)
				}
				return showNode(cmd, n, args[0])
			},
		})
	}
	add("kill", "End a node at once, as a crash would", (*testnet.Network).Kill)
	add("stop", "Ask a node to stop and wait for it", (*testnet.Network).Stop)
	add("start", "Start a node and wait until it is ready", (*testnet.Network).Start)
	add("restart", "Stop a node and start it again", (*testnet.Network).Restart)
	return cmd
}

// showNode prints what a command has made of a node.
func showNode(cmd *cobra.Command, n *testnet.Network, name string) error {
	nodes, err := n.Status(cmd.Context())
	if err != nil {
		return testnetError(err, n.Dir)
	}
	for _, node := range nodes {
		if node.Name != name {
			continue
		}
		if wantsJSON(cmd) {
			return printJSON(cmd, node)
		}
		if !node.Running {
			say(cmd.OutOrStdout(), "%s has stopped.\n", name)
		} else {
			say(cmd.OutOrStdout(), "%s is %s at height %d, process %d.\n", name, node.Phase, node.Height, node.PID)
		}
	}
	return nil
}

func newTestnetComposeCommand() *cobra.Command {
	var options testnet.ComposeOptions
	cmd := &cobra.Command{
		Use:   "compose",
		Short: "Make a network for docker-compose",
		Long: `Make the directory of a network that runs in containers: the homes of the nodes, a docker-compose.yaml for
docker-compose 1.29 and Compose v2, and what the image is built from, which is nothing but this program. The image is built
at once where docker is there, and by docker-compose otherwise. Clients use the directory as that of any other network.`,
		Example: `  althing testnet compose --dir net --validators 4
  cd net && docker-compose up -d`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().IntVar(&options.Validators, "validators", testnet.DefaultValidators,
		fmt.Sprintf("how many validators the network has, 1 to %d", testnet.MaxValidators))
	cmd.Flags().StringVar(&options.Binary, "binary", "", "statically linked althing for Linux to put into the image (default: this one)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if options.Validators == 0 {
			options.Validators = -1 // as in `up`
		}
		return runTestnetCompose(cmd, options)
	}
	return cmd
}

func runTestnetCompose(cmd *cobra.Command, options testnet.ComposeOptions) error {
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return err
	}
	n, err := testnet.Compose(dir, options)
	if err != nil {
		return testnetError(err, dir)
	}
	built, err := n.BuildImage(cmd.Context())
	if err != nil {
		return testnetError(err, dir)
	}
	if wantsJSON(cmd) {
		up, err := describeTestnet(cmd.Context(), n)
		if err != nil {
			return err
		}
		return printJSON(cmd, struct {
			testnetUp
			ComposeFile string `json:"compose_file"`
			ImageBuilt  bool   `json:"image_built"`
		}{up, n.ComposeFile(), built})
	}
	out := cmd.OutOrStdout()
	say(out, "Network %s for docker-compose is in %s.\n", n.File.ChainID, shortPath(n.Dir))
	if !built {
		say(out, "docker was not found or did not answer: docker-compose will build the image.\n")
	}
	say(out, "\nNext:\n  docker-compose -f %s up -d\n", shortPath(n.ComposeFile()))
	say(out, "  althing --network %s status\n", shortPath(n.Dir))
	return nil
}

// openTestnet opens the network of --dir, and returns the directory as it was given.
func openTestnet(cmd *cobra.Command) (*testnet.Network, string, error) {
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return nil, "", err
	}
	n, err := testnet.Open(dir)
	return n, dir, testnetError(err, dir)
}

// shortPath is the path relative to where we are, if that is shorter.
func shortPath(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	relative, err := filepath.Rel(here, path)
	if err != nil || len(relative) >= len(path) {
		return path
	}
	return relative
}
