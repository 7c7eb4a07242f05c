package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/types"
)

const (
	// poll is how often a condition is looked at that nothing announces.
	poll = 10 * time.Millisecond
	// readyTimeout is how long a network may take until all its nodes have made a block.
	readyTimeout = time.Minute
	// stopTimeout is how long a node may take to stop before it is killed.
	stopTimeout = 15 * time.Second
	// maxValidators is how large a network may be.
	maxValidators = 16
)

// options says what network to make.
type options struct {
	validators int
	mempool    string
	keys       int
}

// network is validators that run, each a process. Whoever starts it stops it.
type network struct {
	processes []*process
}

// process is a validator that this process has started.
type process struct {
	name      string
	home      string
	address   string // for the runner
	cmd       *exec.Cmd
	alive     io.Closer     // its standard input: it ends when this is closed
	ended     chan struct{} // closed when it has ended
	questions *rpc.Client   // nil until it has answered once
}

// start makes the homes of a network in a directory, starts its nodes, and returns when they have made a block and each is
// connected to all the others. If it fails nothing runs.
func start(ctx context.Context, dir string, o options) (n *network, err error) {
	n = &network{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop())
		}
	}()
	plans, err := prepare(dir, o)
	if err != nil {
		return n, fmt.Errorf("make the validators' homes: %w", err)
	}
	for i, plan := range plans {
		p, err := spawn(fmt.Sprintf("validator-%d", i+1), plan)
		if err != nil {
			return n, err
		}
		n.processes = append(n.processes, p)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("it took more than %v", readyTimeout))
	defer cancel()
	for _, p := range n.processes {
		if err := p.ready(ctx, o.validators-1); err != nil {
			return n, fmt.Errorf("wait for %s: %w%s", p.name, err, p.lastWords())
		}
	}
	return n, nil
}

// prepare writes the engine's files of each validator.
func prepare(dir string, o options) ([]validator, error) {
	genesis := types.GenesisDoc{ChainID: chainID, GenesisTime: time.Now(), ConsensusParams: consensusParams()}
	addresses, err := freeAddresses(2 * o.validators)
	if err != nil {
		return nil, err
	}
	var plans []validator
	var peers []string
	for i := range o.validators {
		home := filepath.Join(dir, fmt.Sprintf("validator-%d", i+1))
		// Each dials those before it: two that dial one another at once may both hang up.
		plan := validator{home: home, listen: addresses[2*i], serve: addresses[2*i+1], peers: strings.Join(peers, ","), mempool: o.mempool, keys: o.keys}
		config.EnsureRoot(home)
		c := engineConfig(plan.home, plan.listen, plan.peers, plan.mempool)
		key, err := p2p.LoadOrGenNodeKey(c.NodeKeyFile())
		if err != nil {
			return nil, err
		}
		voter := privval.LoadOrGenFilePV(c.PrivValidatorKeyFile(), c.PrivValidatorStateFile())
		genesis.Validators = append(genesis.Validators, types.GenesisValidator{PubKey: voter.Key.PubKey, Power: 10})
		peers = append(peers, p2p.IDAddressString(key.ID(), plan.listen))
		plans = append(plans, plan)
	}
	for _, plan := range plans {
		if err := genesis.SaveAs(engineConfig(plan.home, "", "", plan.mempool).GenesisFile()); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

// freeAddresses finds free ports on loopback, below the range from which systems give ports to outgoing connections, so that they are
// still free when the nodes take them.
func freeAddresses(count int) (addresses []string, err error) {
	const first, span = 20_000, 12_000
	begin := rand.IntN(span)
	for i := 0; i < span && len(addresses) < count; i++ {
		address := fmt.Sprintf("127.0.0.1:%d", first+(begin+i)%span)
		if listener, listenErr := net.Listen("tcp", address); listenErr == nil {
			addresses = append(addresses, address)
			defer func() { err = errors.Join(err, listener.Close()) }()
		}
	}
	if len(addresses) < count {
		return nil, fmt.Errorf("%d of %d ports are free on loopback from %d on", len(addresses), count, first)
	}
	return addresses, nil
}

// spawn starts a validator: this program again.
func spawn(name string, plan validator) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p := &process{name: name, home: plan.home, address: plan.serve, ended: make(chan struct{})}
	log, err := os.Create(p.log())
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.cmd = exec.Command(program, plan.args()...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.alive, err = p.cmd.StdinPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	return p, nil
}

func (p *process) log() string { return filepath.Join(p.home, "node.log") }

// ready waits until the node answers, has made a block, and is connected to so many others.
func (p *process) ready(ctx context.Context, peers int) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		if p.questions == nil {
			if conn, err := net.Dial("tcp", p.address); err == nil {
				if _, err := conn.Write([]byte{forQuestions}); err != nil {
					return errors.Join(err, conn.Close())
				}
				p.questions = rpc.NewClient(conn)
			}
		}
		if p.questions != nil {
			var s Status
			if err := p.ask(ctx, "Status", None{}, &s); err != nil {
				return err
			}
			if s.Height > 0 && s.Peers == peers && s.Gossips {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case <-p.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ask puts a question to the node's [control].
func (p *process) ask(ctx context.Context, method string, argument, reply any) error {
	call := p.questions.Go(questionsName+"."+method, argument, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		if call.Error != nil {
			return fmt.Errorf("ask %s: %s: %w", p.name, method, call.Error)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ask %s: %s: %w", p.name, method, context.Cause(ctx))
	}
}

// lastWords is the end of the node's log, for people, on lines of its own.
func (p *process) lastWords() string {
	const most = 2000
	content, err := os.ReadFile(p.log())
	content = bytes.TrimSpace(content)
	if err != nil || len(content) == 0 {
		return ""
	}
	return "\n" + string(content[max(0, len(content)-most):])
}

// stop stops all nodes and waits for their end.
func (n *network) stop() error {
	for _, p := range n.processes {
		_ = p.alive.Close() // fails when the process has ended
	}
	deadline := time.After(stopTimeout)
	var errs []error
	for _, p := range n.processes {
		select {
		case <-p.ended:
		case <-deadline:
			errs = append(errs, fmt.Errorf("%s did not stop within %v and was killed", p.name, stopTimeout), p.cmd.Process.Kill())
			<-p.ended
			deadline = time.After(stopTimeout)
		}
		if p.questions != nil {
			_ = p.questions.Close() // fails when the connection is closed
		}
	}
	return errors.Join(errs...)
}
