package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// networkVariable names the network where --network does not.
const networkVariable = "ALTHING_NETWORK"

// readerVariable names the account that reads where --read-as does not.
const readerVariable = "ALTHING_READ_AS"

// globals are the flags that every command has.
type globals struct {
	network string
	node    string
	readAs  string
	json    bool
	timeout time.Duration
	// unverified says that the user believes the nodes.
	unverified bool
	// mixed says that a command prints the word of a node beside what is proven: nothing is marked as verified.
	mixed bool
}

// globalsOf reads them from a command's flags.
func globalsOf(cmd *cobra.Command) globals {
	var g globals
	flags := cmd.Flags()
	g.network, _ = flags.GetString("network")
	g.node, _ = flags.GetString("node")
	g.readAs, _ = flags.GetString("read-as")
	g.timeout, _ = flags.GetDuration("timeout")
	g.unverified, _ = flags.GetBool("unverified")
	g.json = flags.Lookup("output").Value.String() == outputJSON
	return g
}

const (
	outputText = "text"
	outputJSON = "json"
)

// outputFormat is the value of --output.
type outputFormat string

func (f *outputFormat) String() string { return string(*f) }
func (f *outputFormat) Type() string   { return "text|json" }
func (f *outputFormat) Set(v string) error {
	if v != outputText && v != outputJSON {
		return fmt.Errorf("must be %s or %s", outputText, outputJSON)
	}
	*f = outputFormat(v)
	return nil
}

// positive is the value of a flag that is a duration above zero, or zero for its default.
type positive time.Duration

func (d *positive) String() string { return time.Duration(*d).String() }
func (d *positive) Type() string   { return "duration" }
func (d *positive) Set(v string) error {
	parsed, err := time.ParseDuration(v)
	if err != nil || parsed <= 0 {
		return errors.New("must be a duration above zero, such as 90s or 2m")
	}
	*d = positive(parsed)
	return nil
}

func newRoot(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "althing",
		Short: "A permissioned ledger: its nodes, its networks, its client",
		Long: `Althing is a permissioned ledger. Organisations that do not fully trust one another each run a node;
together they agree on the order of signed transactions.

A client finds its network through --network, or the variable ` + networkVariable + `: the directory that
` + "`althing testnet up`" + ` made, or a network file. Exit codes: 0 done, 1 failed, 2 not understood
(flags, arguments, configuration).`,
		Example: `  althing testnet up --dir net --detach
  export ` + networkVariable + `=net
  althing asset create acme/usd --decimals 2 --as acme/admin
  althing asset mint acme/usd 1000.00 --to acme/treasury --as acme/admin
  althing asset transfer acme/usd 12.50 --to globex/treasury --as acme/treasury
  althing asset balance acme/usd globex/treasury`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	format := outputFormat(outputText)
	flags := root.PersistentFlags()
	flags.String("network", "", "`DIR-or-FILE` of the network (default $"+networkVariable+")")
	flags.String("node", "", "talk to this one node only: `HOST:PORT` or its name")
	flags.String("read-as", "", "`ORG/NAME` whose token key signs for reads, where they are for members only (default $"+readerVariable+")")
	flags.Bool("unverified", false, "believe what a node answers: ask for no proofs and check none")
	flags.Var(&format, "output", "how to print")
	flags.Duration("timeout", 0, "give up after this long (default 30s; a transaction: until it has surely expired)")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelpCommand())
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetIn(s.in)
	root.AddCommand(
		// Networks and nodes on this machine.
		newTestnetCommand(s),
		newNetworkCommand(s),
		newSignerCommand(s),
		newDoctorCommand(s),

		// Clients.
		newStatusCommand(s),
		newAccountCommand(s),
		newAssetCommand(s),
		newBenchCommand(s),
		newBlockCommand(s),
		newCharterCommand(s),
		newCollectionCommand(s),
		newExplorerCommand(s),
		newIndexCommand(s),
		newKeyCommand(s),
		newNodeCommand(s),
		newOrgCommand(s),
		newProposalCommand(s),
		newRecordCommand(s),
		newTxCommand(s),
		newValidatorCommand(s),
		newVerifyCommand(s),
		newWatchCommand(s),
		newVersionCommand(s),
	)
	return root
}

func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about any command",
		Example: "  althing help asset transfer",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return hint(usagef("there is no command %q", strings.Join(args, " ")), "see `althing --help`")
			}
			return found.Help()
		},
	}
}

// nameArguments makes errors about the number of arguments say which ones a command takes.
func nameArguments(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil || cmd.HasSubCommands() {
		return
	}
	// Use is the name, the arguments and then, for some, flags.
	_, takes, _ := strings.Cut(cmd.Use, " ")
	takes, _, _ = strings.Cut(takes, "--")
	takes = strings.TrimRight(takes, " [")
	if takes == "" {
		takes = "no arguments"
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) != nil {
			return usagef("%s takes %s; it was given %s", cmd.CommandPath(), takes, plural(len(args), "argument"))
		}
		return nil
	}
}

// noun returns a command that only has subcommands.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: verbs[0].Example, Args: cobra.ArbitraryArgs}
	cmd.AddCommand(verbs...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var names []string
		for _, verb := range verbs {
			names = append(names, verb.Name())
		}
		known := strings.Join(names, ", ")
		if len(args) == 0 {
			return usagef("%s needs a subcommand: %s", cmd.CommandPath(), known)
		}
		return usagef("%s has no subcommand %q: it has %s", cmd.CommandPath(), args[0], known)
	}
	return cmd
}

// execute runs the command that the arguments name and returns the exit code.
func execute(ctx context.Context, args []string, s *streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	understood := false
	mark(root, &understood)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !understood {
		err = &misuse{err}
	}
	return s.fail(cmd, err)
}

// mark notes that the flags and arguments of a command were understood before it runs. What cobra finds wrong before is a
// mistake of usage.
func mark(cmd *cobra.Command, understood *bool) {
	nameArguments(cmd)
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*understood = true
			if d, _ := cmd.Flags().GetDuration("timeout"); d < 0 {
				return usagef("--timeout %v is negative", d)
			}
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		mark(sub, understood)
	}
}
