package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/testnet"
)

// defaultTestnet is where a local network lies if nothing else is said.
const defaultTestnet = "althing-testnet"

// newTestnetCommand returns the commands that make and run local networks.
func newTestnetCommand(s *streams) *cobra.Command {
	cmd := noun("testnet", "Run a network on this machine, as processes or in containers",
		newTestnetUpCommand(s),
		newTestnetDownCommand(s),
		newTestnetStatusCommand(s),
		newTestnetLogsCommand(s),
		newTestnetNodeCommand(s),
		newTestnetAddNodeCommand(s),
		newTestnetComposeCommand(s),
	)
	cmd.PersistentFlags().String("dir", defaultTestnet, "directory of the network")
	return cmd
}

// testnetDown is what `testnet down` prints.
type testnetDown struct {
	ChainID string `json:"chain_id"`
	Dir     string `json:"dir"`
	Stopped int    `json:"stopped"` // how many nodes ran
}

func newTestnetDownCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:     "down",
		Short:   "Stop a network; the directory keeps the ledger",
		Example: "  althing testnet down --dir althing-testnet",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := s.openTestnet(cmd)
			if err != nil {
				return err
			}
			finish := s.progress(cmd.Context(), "the nodes to stop")
			stopped, err := n.Down(cmd.Context())
			finish()
			if err != nil {
				return testnetError(err, n.Dir)
			}
			down := testnetDown{ChainID: n.File.ChainID, Dir: n.Dir, Stopped: stopped}
			return s.show(globalsOf(cmd), down, func(w io.Writer) {
				if stopped == 0 {
					fmt.Fprintln(w, "Nothing was running.")
				} else {
					fmt.Fprintf(w, "Stopped %s. The ledger is kept in %s.\n", plural(stopped, "node"), shortPath(n.Dir))
				}
			})
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

func newTestnetStatusCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show every node of a network",
		Example: "  althing testnet status --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := s.openTestnet(cmd)
			if err != nil {
				return err
			}
			nodes, err := n.Status(cmd.Context())
			if err != nil {
				return testnetError(err, n.Dir)
			}
			status := testnetStatus{ChainID: n.File.ChainID, GenesisHash: n.File.GenesisHash, Dir: n.Dir, Nodes: nodes}
			return s.show(globalsOf(cmd), status, func(w io.Writer) {
				fmt.Fprintf(w, "Network %s\n\n", status.ChainID)
				writeNodes(w, nodes, true)
			})
		},
	}
}

func newTestnetLogsCommand(s *streams) *cobra.Command {
	var options testnet.LogOptions
	cmd := &cobra.Command{
		Use:   "logs [NODE]",
		Short: "Show the logs of all nodes, or of one",
		Long: `Show the last lines of the logs of all nodes, or of one. With --output json each line is an object with the
node's name and the line, on a line of its own.`,
		Example: `  althing testnet logs
  althing testnet logs globex-1 --lines 100 --follow`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := s.openTestnet(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				options.Node = args[0]
			}
			if options.Lines < 0 {
				return usagef("--lines %d is negative", options.Lines)
			}
			options.JSON = globalsOf(cmd).json
			return testnetError(n.Logs(cmd.Context(), s.out, options), n.Dir)
		},
	}
	cmd.Flags().IntVar(&options.Lines, "lines", 20, "how many of the last lines of each log to show")
	cmd.Flags().BoolVarP(&options.Follow, "follow", "f", false, "show new lines as they come, until Ctrl-C")
	return cmd
}

func newTestnetNodeCommand(s *streams) *cobra.Command {
	verb := func(verb, short, long string, do func(*testnet.Network, context.Context, string) error) *cobra.Command {
		return &cobra.Command{
			Use:     verb + " NODE",
			Short:   short,
			Long:    long,
			Example: "  althing testnet node " + verb + " globex-1",
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				n, err := s.openTestnet(cmd)
				if err != nil {
					return err
				}
				finish := s.progress(cmd.Context(), args[0])
				err = do(n, cmd.Context(), args[0])
				finish()
				idle := verb == "stop" && errors.Is(err, testnet.ErrNotRunning)
				if err != nil && !idle {
					return testnetError(err, n.Dir)
				}
				return s.showTestnetNode(cmd, n, args[0], idle)
			},
		}
	}
	const readiness = ` ready: serving, caught up and
connected to the other nodes that run. While the nodes that run are too few for the network to go on, no node can be ready;
then the command returns as soon as the node serves, and says so: with --output json "ready" is false.`
	return noun("node", "Stop, kill and start single nodes of a network",
		verb("kill", "End a node at once, as a crash would", "", (*testnet.Network).Kill),
		verb("stop", "Ask a node to stop and wait for it", "", (*testnet.Network).Stop),
		verb("start", "Start a node and wait until it is ready",
			"Start a node and wait until it is"+readiness, (*testnet.Network).Start),
		verb("restart", "Stop a node, start it again and wait until it is ready",
			"Stop a node, if it runs, start it again and wait until it is"+readiness, (*testnet.Network).Restart),
	)
}

// showTestnetNode prints what a command has made of a node. A node was idle if it did not run before.
func (s *streams) showTestnetNode(cmd *cobra.Command, n *testnet.Network, name string, idle bool) error {
	nodes, err := n.Status(cmd.Context())
	if err != nil {
		return testnetError(err, n.Dir)
	}
	i := slices.IndexFunc(nodes, func(node testnet.NodeStatus) bool { return node.Name == name })
	node := nodes[i]
	power, total, err := n.Power(cmd.Context())
	if err != nil {
		return testnetError(err, n.Dir)
	}
	return s.show(globalsOf(cmd), node, func(w io.Writer) {
		switch {
		case idle:
			fmt.Fprintf(w, "%s was not running.\n", name)
		case !node.Running:
			fmt.Fprintf(w, "%s has stopped.\n", name)
		case node.Waiting != "":
			fmt.Fprintf(w, "%s serves, process %d, and waits: %s.\n", name, node.PID, strings.TrimSuffix(node.Waiting, "."))
		case !node.Ready && !testnet.Suffices(power, total):
			fmt.Fprintf(w, "%s serves at height %d, process %d, but is not ready: ", name, node.Height, node.PID)
			fmt.Fprintf(w, "%d of %d voting power runs, and it takes more than two thirds.\n", power, total)
		default:
			fmt.Fprintf(w, "%s is %s at height %d, process %d.\n", name, stateOf(node), node.Height, node.PID)
		}
	})
}

// testnetCompose is what `testnet compose` prints.
type testnetCompose struct {
	testnetUp
	ComposeFile string `json:"compose_file"`
	ImageBuilt  bool   `json:"image_built"`
}

func newTestnetComposeCommand(s *streams) *cobra.Command {
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
	cmd.Flags().StringVar(&options.Binary, "binary", "",
		"statically linked althing for Linux to put into the image (default: this one)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkValidators(options.Validators); err != nil {
			return err
		}
		dir := testnetDir(cmd)
		return testnetError(s.runTestnetCompose(cmd, dir, options), dir)
	}
	return cmd
}

func (s *streams) runTestnetCompose(cmd *cobra.Command, dir string, options testnet.ComposeOptions) error {
	n, err := testnet.Compose(dir, options)
	if err != nil {
		return err
	}
	finish := s.progress(cmd.Context(), "docker to build the image")
	built, err := n.BuildImage(cmd.Context())
	finish()
	if err != nil {
		return err
	}
	up, err := describeTestnet(cmd.Context(), n)
	if err != nil {
		return err
	}
	return s.show(globalsOf(cmd), testnetCompose{up, n.ComposeFile(), built}, func(w io.Writer) {
		fmt.Fprintf(w, "Network %s for docker-compose is in %s.\n", up.ChainID, shortPath(n.Dir))
		if !built {
			fmt.Fprintln(w, "There is no docker, or it does not answer: docker-compose will build the image.")
		}
		fmt.Fprintf(w, "\nNext:\n  docker-compose -f %s up -d\n  althing --network %s status\n",
			shortPath(n.ComposeFile()), shortPath(n.Dir))
	})
}

// checkValidators refuses a number of validators that no network can have.
func checkValidators(count int) error {
	if count < 1 || count > testnet.MaxValidators {
		return usagef("--validators %d, want 1 to %d: they all run on this machine", count, testnet.MaxValidators)
	}
	return nil
}

// testnetDir is the value of --dir.
func testnetDir(cmd *cobra.Command) string { return cmd.Flags().Lookup("dir").Value.String() }

// openTestnet opens the network of --dir, to read as whom --read-as names.
func (s *streams) openTestnet(cmd *cobra.Command) (*testnet.Network, error) {
	dir := testnetDir(cmd)
	n, err := testnet.Open(dir)
	if err != nil {
		return nil, testnetError(err, dir)
	}
	n.Reader, err = s.reader(globalsOf(cmd), n.File)
	return n, err
}

// testnetError gives an error of a local network the hint that fits it, and marks those that are mistakes of usage.
func testnetError(err error, dir string) error {
	var homeKind home.ErrorKind
	switch {
	case err == nil:
		return nil
	case errors.Is(err, testnet.ErrLeftRunning):
		return hint(err, "`althing testnet down --dir %s` stops what still runs", dir)
	case errors.Is(err, testnet.ErrBusy):
		return hint(err, "try again when the other command is done")
	case errors.Is(err, testnet.ErrOptions):
		return &misuse{err}
	case errors.Is(err, testnet.ErrNotDirectory):
		return &misuse{hint(err, "name a directory with --dir")}
	case errors.Is(err, testnet.ErrNotNetwork) && holdsSomething(dir):
		return &misuse{hint(err, "name the directory of a local network with --dir")}
	case errors.Is(err, testnet.ErrNotNetwork):
		return &misuse{hint(err, "`althing testnet up --dir %s` makes a network there", dir)}
	case errors.Is(err, testnet.ErrExists):
		return &misuse{hint(err, "name another directory with --dir; nothing that exists is ever replaced")}
	case errors.Is(err, testnet.ErrUnknownNode):
		return &misuse{hint(err, "`althing testnet status --dir %s` lists the nodes", dir)}
	case errors.Is(err, testnet.ErrContainers):
		return &misuse{hint(err, "docker-compose starts and stops it, for example: docker-compose -f %s up -d",
			filepath.Join(dir, "docker-compose.yaml"))}
	case errors.Is(err, testnet.ErrPortInUse):
		return &misuse{hint(err, "stop the program that uses the port, or make another network with --dir")}
	case errors.Is(err, testnet.ErrImage):
		return &misuse{hint(err, "build one with `%s` and name it with --binary", testnet.BuildHint())}
	case errors.Is(err, testnet.ErrNotReady):
		return hint(err, "everything that was started has been stopped; the logs are in %s", filepath.Join(dir, "nodes"))
	case errors.As(err, &homeKind):
		return &misuse{hint(err, "set right what it says, in the directory that it names")}
	case errors.Is(err, testnet.ErrRunning):
		return hint(err, "`althing testnet status --dir %s` shows it, `althing testnet down --dir %[1]s` stops it", dir)
	case errors.Is(err, testnet.ErrNotRunning):
		return hint(err, "`althing testnet status --dir %s` shows which nodes run", dir)
	}
	return err
}

// holdsSomething says whether there is something in a directory, so that no network can be made there.
func holdsSomething(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
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
