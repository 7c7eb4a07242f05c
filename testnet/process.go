package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
)

const (
	// poll is how often a condition is looked at that nothing announces.
	poll = 20 * time.Millisecond
	// maxLogBytes is how large a log may be when its node starts; a larger one is put aside, once.
	maxLogBytes = 64 << 20
)

// process is a node that this process has started.
type process struct {
	node  client.Node
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
	how   string        // how it ended; written before ended is closed
}

// spawn starts a node. It is detached: neither a terminal that closes nor a Ctrl-C reaches it.
func (n *Network) spawn(node client.Node) (*process, error) {
	dir := home.Dir(node.Home)
	log, err := openLog(dir.Log())
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", node.Name, err)
	}
	cmd := exec.Command(n.Binary, "network", "start", "--home", node.Home)
	cmd.Dir = node.Home
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = detached()
	err = cmd.Start()
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, fmt.Errorf("start %s: %w", node.Name, err)
	}
	p := &process{node: node, cmd: cmd, ended: make(chan struct{})}
	// A child that nobody waits for stays in the process table, so somebody waits for as long as we live.
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
		p.how = cmd.ProcessState.String()
	}()
	return p, nil
}

// running says whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// openLog opens a log for appending and puts it aside first if it has become large.
func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// signal sends a signal to the process of a node, and never to any other. The error is [ErrNotRunning] if the node does
// not run.
func signal(node client.Node, what os.Signal) error {
	notRunning := fmt.Errorf("%w: %s", ErrNotRunning, node.Name)
	p, running, err := home.Running(node.Home)
	if err != nil {
		return err
	}
	if !running {
		return notRunning
	}
	if p.Foreign {
		return fmt.Errorf("%w: %s is process %d of another machine or container", ErrContainers, node.Name, p.PID)
	}
	if p.PID == 0 {
		return fmt.Errorf("%w: %s is only just starting; try again", ErrBusy, node.Name)
	}
	// Take hold of the process first and then see that it is still the node's: where the system gives handles of
	// processes, what is signalled is what was seen.
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return fmt.Errorf("find the process of %s: %w", node.Name, err)
	}
	defer func() { _ = handle.Release() }()
	again, running, err := home.Running(node.Home)
	if err != nil {
		return err
	}
	if !running || again != p {
		return notRunning
	}
	if err := handle.Signal(what); errors.Is(err, os.ErrProcessDone) {
		return notRunning
	} else if err != nil {
		return fmt.Errorf("signal %s: %w", node.Name, err)
	}
	return nil
}

// gone waits until the node's process has ended.
func gone(ctx context.Context, node client.Node) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		_, running, err := home.Running(node.Home)
		if err != nil || !running {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is still running: %w", node.Name, ctx.Err())
		}
	}
}

// stop asks a node to stop and waits for it; it is killed when it takes longer than [Network.StopTimeout].
func (n *Network) stop(ctx context.Context, node client.Node) error {
	if err := signal(node, syscall.SIGTERM); err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, n.StopTimeout)
	defer cancel()
	err := gone(patience, node)
	if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return n.kill(ctx, node)
}

// kill ends a node at whatever instruction it is at, and waits for its end.
func (n *Network) kill(ctx context.Context, node client.Node) error {
	if err := signal(node, syscall.SIGKILL); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, n.StopTimeout)
	defer cancel()
	return gone(ctx, node)
}
