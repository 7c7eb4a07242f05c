package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
)

// launchAttempts is how often Launch chooses ports anew when another program was faster.
const launchAttempts = 3

// Launch starts the network at dir, which is made first if there is none, and returns when it is ready. An existing
// network is started as it is: options then only have to agree with it. binary is the program of the nodes, empty for
// this one. The errors are those of [New], [Open] and [Network.Up].
func Launch(ctx context.Context, dir string, o Options, binary string) (*Network, error) {
	for attempt := 1; ; attempt++ {
		n, made, err := openOrNew(dir, o)
		if err != nil {
			return nil, err
		}
		if binary != "" {
			n.Binary = binary
		}
		err = n.Up(ctx)
		if err == nil {
			return n, nil
		}
		if !made || !errors.Is(err, ErrPortInUse) || attempt == launchAttempts {
			return nil, err
		}
		// Ports are in the genesis document, so other ports make another network; this one has never run.
		if err := os.RemoveAll(n.Dir); err != nil {
			return nil, err
		}
	}
}

// openOrNew also says whether the network is new.
func openOrNew(dir string, o Options) (n *Network, made bool, err error) {
	n, err = Open(dir)
	if errors.Is(err, ErrNotNetwork) {
		n, err = New(dir, o)
		if !errors.Is(err, ErrExists) {
			return n, true, err
		}
		taken := err
		if n, err = Open(dir); errors.Is(err, ErrNotNetwork) {
			err = taken // otherwise another command has made the network a moment ago
		}
	}
	if err != nil {
		return nil, false, err
	}
	if o.Validators == 0 {
		return n, false, nil
	}
	genesis, err := n.genesis()
	if err != nil {
		return nil, false, err
	}
	if began := len(genesis.Doc.Nodes); o.Validators != began {
		return nil, false, fmt.Errorf(
			"%w: the network at %s began with %d validators, not %d: choose another directory, or leave the number out",
			ErrOptions, dir, began, o.Validators)
	}
	return n, false, nil
}

// Up starts the nodes that do not run and returns when every node is ready: serving, caught up and connected to every
// other. Nodes that the ledger does not list need only serve, or may end. When that fails, those that it started are stopped again; the error is also [ErrLeftRunning] if they cannot be.
// The error is [ErrRunning] if all nodes run already, [ErrBusy], [ErrContainers], [ErrPortInUse], a [*StartError], or the
// context's.
func (n *Network) Up(ctx context.Context) (err error) {
	lock, err := n.lock()
	if err != nil {
		return fmt.Errorf("start network: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	missing, err := n.missing()
	if err != nil {
		return fmt.Errorf("start network: %w", err)
	}
	for _, node := range missing {
		if err := checkPorts(node); err != nil {
			return fmt.Errorf("start network: %w", err)
		}
	}
	var started []*process
	for _, node := range missing {
		p, err := n.spawn(node)
		if err != nil {
			return errors.Join(fmt.Errorf("start network: %w", err), n.abandon(ctx, started))
		}
		started = append(started, p)
	}
	if err := n.awaitReady(ctx, n.File.Nodes, started, allConnected); err != nil {
		return errors.Join(fmt.Errorf("start network: %w", err), n.abandon(ctx, started))
	}
	return nil
}

// missing returns the nodes that do not run. The error is [ErrRunning] if all do.
func (n *Network) missing() ([]client.Node, error) {
	var missing []client.Node
	for _, node := range n.File.Nodes {
		_, runs, err := home.Running(node.Home)
		if err != nil {
			return nil, err
		}
		if !runs {
			missing = append(missing, node)
		}
	}
	if len(missing) == 0 {
		return nil, fmt.Errorf("%w: the network at %s", ErrRunning, n.Dir)
	}
	return missing, nil
}

// checkPorts looks whether a node will be able to listen, because the error is clearer here than in its log.
func checkPorts(node client.Node) error {
	h, err := home.Load(node.Home)
	if err != nil {
		return err
	}
	for _, address := range []string{h.Config.P2P.Listen, h.Config.GRPC.Listen, h.Config.HTTP.Listen, h.Config.Metrics.Listen} {
		if address == "" {
			continue
		}
		if err := checkFree(node.Name, address); err != nil {
			return err
		}
	}
	return nil
}

// abandon ends what was started, also after the context's end. A node that is killed loses nothing that it
// has acknowledged, so these get no time to say goodbye.
func (n *Network) abandon(ctx context.Context, started []*process) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.StopTimeout)
	defer cancel()
	var errs []error
	for _, p := range started {
		if err := p.end(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrLeftRunning, errors.Join(errs...))
	}
	return nil
}

// end kills a process that this one has started, whether or not it has locked its home yet.
func (p *process) end(ctx context.Context) error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.node.Name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s is still running: %w", p.node.Name, ctx.Err())
	}
}

// Down stops all nodes and returns when they have ended; a node that takes longer than [Network.StopTimeout] is killed. A
// network that does not run is fine: the number of nodes that were stopped is then 0. The error is [ErrBusy] or
// [ErrContainers] or the context's.
func (n *Network) Down(ctx context.Context) (stopped int, err error) {
	lock, err := n.lock()
	if err != nil {
		return 0, fmt.Errorf("stop network: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	ended := make([]bool, len(n.File.Nodes))
	var group errgroup.Group
	for i, node := range n.File.Nodes {
		group.Go(func() error {
			err := n.stop(ctx, node)
			if errors.Is(err, ErrNotRunning) {
				return nil
			}
			ended[i] = err == nil
			return err
		})
	}
	err = group.Wait()
	for _, e := range ended {
		if e {
			stopped++
		}
	}
	if err != nil {
		return stopped, fmt.Errorf("stop network: %w", err)
	}
	return stopped, nil
}

// Start starts one node and returns when it is ready and connected to the others that run; if together they are too few
// to go on, see [Suffices], or the ledger does not list it, when it serves. The errors are those of [Network.Up] and [ErrUnknownNode].
func (n *Network) Start(ctx context.Context, name string) error {
	return n.one("start", name, func(node client.Node) error { return n.start(ctx, node) })
}

func (n *Network) start(ctx context.Context, node client.Node) error {
	if _, running, err := home.Running(node.Home); err != nil {
		return err
	} else if running {
		return fmt.Errorf("%w: %s", ErrRunning, node.Name)
	}
	if err := checkPorts(node); err != nil {
		return err
	}
	p, err := n.spawn(node)
	if err != nil {
		return err
	}
	if err := n.awaitReady(ctx, []client.Node{node}, []*process{p}, othersConnected); err != nil {
		return errors.Join(err, n.abandon(ctx, []*process{p}))
	}
	return nil
}

// Stop asks one node to stop and waits for its end; it is killed when it takes longer than [Network.StopTimeout]. The
// error is [ErrNotRunning], [ErrUnknownNode], [ErrBusy] or [ErrContainers].
func (n *Network) Stop(ctx context.Context, name string) error {
	return n.one("stop", name, func(node client.Node) error { return n.stop(ctx, node) })
}

// Kill ends one node at whatever instruction it is at, as a crash would. The errors are those of [Network.Stop].
func (n *Network) Kill(ctx context.Context, name string) error {
	return n.one("kill", name, func(node client.Node) error { return n.kill(ctx, node) })
}

// Restart stops one node, if it runs, and starts it. The errors are those of [Network.Stop] and [Network.Start].
func (n *Network) Restart(ctx context.Context, name string) error {
	return n.one("restart", name, func(node client.Node) error {
		if err := n.stop(ctx, node); err != nil && !errors.Is(err, ErrNotRunning) {
			return err
		}
		return n.start(ctx, node)
	})
}

// one does something to one node while no other command touches the network.
func (n *Network) one(verb, name string, do func(client.Node) error) (err error) {
	node, err := n.node(name)
	if err != nil {
		return fmt.Errorf("%s node: %w", verb, err)
	}
	lock, err := n.lock()
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := do(node); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return nil
}
