package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/consensus"
	"github.com/althing-ledger/althing/consensus/signer"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/internal/node"
	"github.com/althing-ledger/althing/state"
)

// healthTimeout bounds how long `network health` waits for an answer.
const healthTimeout = 5 * time.Second

// gcPercent lets the heap of a node grow to two and a quarter times what is in use before it is collected, instead of twice. With 100 a busy
// node may take a twelfth more of the processor, with 150 it takes some 60 MiB more memory. The environment variable GOGC overrides it.
const gcPercent = 125

func newNetworkCommand(s *streams) *cobra.Command {
	return noun("network", "Make networks, join them, run their nodes",
		newNetworkStartCommand(s), newNetworkHealthCommand(s), newNetworkInitCommand(s), newNetworkNewCommand(s),
		newNetworkJoinCommand(s), newNetworkTicketCommand(s))
}

func newNetworkStartCommand(s *streams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run a node until it is told to stop",
		Long: `Run the node whose home is the given directory, in the foreground, until SIGINT or SIGTERM. The log goes to standard
error. The exit code is 0 when the node was told to stop, 2 when its home or configuration must be set right first, and 1
when a part of the node failed; the last line says why.`,
		Example: `  althing network start --home althing-testnet/nodes/acme-1`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if home.Incomplete(dir) {
				return hint(usagef("the home %s does not know its network yet", dir), "complete it: `althing network join TICKET --home %s`", dir)
			}
			h, err := home.Load(dir)
			if err != nil {
				return startError(err)
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(gcPercent)
			}
			return startError(node.Run(cmd.Context(), h, node.Options{Version: version(), Log: s.err}))
		},
	}
	homeFlag(cmd, &dir)
	return cmd
}

func homeFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "home", "", "`DIR` of the node (required)")
	require(cmd, "home")
}

// startError marks the errors that the owner of a node has to set right before it can start, and says how: they exit
// with 2.
func startError(err error) error {
	var kind home.ErrorKind
	switch {
	case err == nil:
		return nil
	case errors.Is(err, home.ErrInUse), errors.Is(err, state.ErrLocked), errors.Is(err, signer.ErrRecordInUse):
		err = hint(err, "the node runs already; `althing testnet node stop NAME` stops one of a local network")
	case errors.Is(err, home.ErrConfig):
		err = hint(err, "correct althing.toml in the home; its comments explain every key")
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, consensus.ErrListen):
		err = hint(err, "stop what uses the address, or set another `listen` in althing.toml")
	case errors.Is(err, app.ErrForeignState), errors.Is(err, state.ErrForeign), errors.Is(err, consensus.ErrForeignData):
		err = hint(err, "the data directory is another network's: move it away, or start the node on its own home")
	case errors.Is(err, state.ErrNewer), errors.Is(err, home.ErrNewer):
		err = hint(err, "use the version of this program that made it, or a newer one")
	case errors.Is(err, signer.ErrNoRecord), errors.Is(err, signer.ErrRecordForeign), errors.Is(err, signer.ErrRecordCorrupt):
		err = hint(err, "put signer.state back from this node's own disk; without it the validator might sign twice")
	case errors.Is(err, signer.ErrRecordExists):
		err = hint(err, "the node has had a validator key: put validator_key.json back; move signer.state away only if that key is gone for good")
	case errors.Is(err, signer.ErrUnreachable):
		// The signer may come up any moment: this is no mistake of usage.
		return hint(err, "is the signer running? [signer] in althing.toml says where")
	case errors.As(err, &kind), errors.Is(err, app.ErrGenesis), errors.Is(err, consensus.ErrInvalidConfig):
	default:
		return err
	}
	return usageError(err)
}

func newNetworkHealthCommand(s *streams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the node of a home whether it is ready",
		Long: `Ask the node that runs in the given directory whether it can be relied on: it serves, has caught up, and is connected to
enough of the network to follow it. The exit code is 0 when it is ready and 1 otherwise. Made for health checks of containers.`,
		Example: `  althing network health --home althing-testnet/nodes/acme-1`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := home.Load(dir)
			if err != nil {
				return startError(err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
			defer cancel()
			if err := askHealth(ctx, h); err != nil {
				return err
			}
			return s.show(globalsOf(cmd), object{{"node", h.Config.Name}, {"ready", true}}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is ready\n", h.Config.Name)
			})
		},
	}
	homeFlag(cmd, &dir)
	return cmd
}

// askHealth returns nil when the node of a home is ready.
func askHealth(ctx context.Context, h *home.Home) (err error) {
	secured := insecure.NewCredentials()
	if h.Config.GRPC.NeedsTLS() {
		if secured, err = credentials.NewClientTLSFromFile(h.Dir.Certificate(), "localhost"); err != nil {
			return fmt.Errorf("read the certificate of %s: %w", h.Config.Name, err)
		}
	}
	conn, err := grpc.NewClient(h.Config.GRPC.Dial(), grpc.WithTransportCredentials(secured))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		return fmt.Errorf("ask %s: %w", h.Config.Name, err)
	}
	if answer.Status != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("%s is not ready: it is behind, or connected to too few nodes", h.Config.Name)
	}
	return nil
}
