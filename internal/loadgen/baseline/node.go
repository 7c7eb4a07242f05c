package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"sync"
	"syscall"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
)

// nodeCommand is the first argument with which the program is a validator.
const nodeCommand = "node"

// The first byte on a connection to a node says what it is for.
const (
	forSubmissions = 's'
	forQuestions   = 'q'
)

// questionsName is under which net/rpc knows the [control] of a node.
const questionsName = "Node"

// queue is how many blocks may wait until their transactions are answered.
const queue = 64

// validator is what the flags of a node say. It runs once: its store is gone when it ends.
type validator struct {
	home    string // with the engine's files
	listen  string // for peers
	serve   string // for the runner
	peers   string // to dial, as id@host:port,…
	mempool string
	keys    int
}

// args is the command line of a node.
func (v validator) args() []string {
	return []string{nodeCommand, "-home", v.home, "-listen", v.listen, "-serve", v.serve, "-peers", v.peers,
		"-mempool", v.mempool, "-keys", fmt.Sprint(v.keys)}
}

// runNode is a validator until standard input ends, which it does when the runner is gone, or a SIGTERM comes. Interrupts and
// closed terminals are the runner's to handle: it still has questions.
func runNode(args []string) error {
	var v validator
	flags := flag.NewFlagSet(nodeCommand, flag.ContinueOnError)
	flags.StringVar(&v.home, "home", "", "directory with the engine's files")
	flags.StringVar(&v.listen, "listen", "", "address for peers")
	flags.StringVar(&v.serve, "serve", "", "address for the runner")
	flags.StringVar(&v.peers, "peers", "", "peers to dial")
	flags.StringVar(&v.mempool, "mempool", flood, "flood or app")
	flags.IntVar(&v.keys, "keys", 0, "keys in the store")
	if err := flags.Parse(args); err != nil {
		return err
	}
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return v.run(ctx)
}

func (v validator) run(ctx context.Context) (err error) {
	blocks := make(chan block, queue)
	store, err := newLedger(v.keys, blocks)
	if err != nil {
		return err
	}
	var app abci.Application = store
	if v.mempool == appPool {
		app = newPooled(store)
	}
	c := engineConfig(v.home, v.listen, v.peers, v.mempool)
	if err := c.ValidateBasic(); err != nil {
		return fmt.Errorf("configure the engine: %w", err)
	}
	key, err := p2p.LoadNodeKey(c.NodeKeyFile())
	if err != nil {
		return fmt.Errorf("load the node's key: %w", err)
	}
	logger := log.NewFilter(log.NewTMLogger(log.NewSyncWriter(os.Stderr)), log.AllowError())
	// The store checks transactions without looking at its state, so checking need not wait for consensus.
	engine, err := node.NewNode(c, privval.LoadFilePV(c.PrivValidatorKeyFile(), c.PrivValidatorStateFile()), key,
		proxy.NewConnSyncLocalClientCreator(app), node.DefaultGenesisDocProviderFunc(c), config.DefaultDBProvider,
		node.DefaultMetricsProvider(c.Instrumentation), logger)
	if err != nil {
		return fmt.Errorf("make the engine's node: %w", err)
	}
	listener, err := net.Listen("tcp", v.serve)
	if err != nil {
		return fmt.Errorf("listen for the runner: %w", err)
	}
	// The engine ends before those who read what it writes.
	served, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer end()
	gate := newGate(engine.Mempool())
	running.Go(func() { gate.follow(served, blocks) })
	if err := engine.Start(); err != nil {
		return errors.Join(fmt.Errorf("start the engine: %w", err), listener.Close())
	}
	questions := rpc.NewServer()
	if err := questions.RegisterName(questionsName, &control{store, engine}); err != nil {
		return errors.Join(err, listener.Close(), engine.Stop())
	}
	running.Go(func() { serve(served, listener, gate, questions) })

	select {
	case <-ctx.Done():
	case <-engine.Quit():
		err = errors.New("the engine has stopped")
	}
	if engine.IsRunning() {
		err = errors.Join(err, engine.Stop())
		engine.Wait()
	}
	return errors.Join(err, listener.Close())
}

// serve answers on all connections until the listener is closed and the context ends.
func serve(ctx context.Context, listener net.Listener, gate *gate, questions *rpc.Server) {
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // closed
		}
		connections.Go(func() {
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			var purpose [1]byte
			if _, err := io.ReadFull(conn, purpose[:]); err != nil {
				_ = conn.Close()
				return
			}
			switch purpose[0] {
			case forSubmissions:
				if err := gate.serve(ctx, conn); err != nil && ctx.Err() == nil {
					fmt.Fprintln(os.Stderr, "a connection broke:", err)
				}
			case forQuestions:
				questions.ServeConn(conn)
			default:
				_ = conn.Close()
			}
		})
	}
}
