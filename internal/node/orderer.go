package node

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/consensus"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
)

const (
	// lonely is how long a node that has two node keys waits for a connection under one of them before it tries the other:
	// it may have missed the block that changed them.
	lonely = 20 * time.Second
	// keyInterval is how often the node looks whether it has to change its node key.
	keyInterval = 200 * time.Millisecond
)

// errOtherKey ends an engine that is to begin again under another node key.
var errOtherKey = errors.New("another node key")

// orderer runs the engine, anew whenever this node gets another node key: the key is part of every connection. Nothing else
// of the node stops meanwhile. It belongs to one goroutine at a time, attester aside.
type orderer struct {
	home   *home.Home
	self   string
	config consensus.Config
	engine *engine
	log    *slog.Logger

	current keys.PrivateKey
	// speaks is current for whoever signs what this node says.
	speaks  atomic.Pointer[ed25519.PrivateKey]
	next    keys.PrivateKey // laid ready by a rotation; zero for none
	tryNext bool            // the engine runs under next, although the ledger, as far as it is known, does not list it
}

// prepare makes the first engine.
func (o *orderer) prepare() error {
	if _, err := o.adopt(); err != nil {
		return err
	}
	return o.assemble()
}

func (o *orderer) assemble() error {
	o.config.NodeKey = home.Ed25519(o.current)
	if o.tryNext {
		o.config.NodeKey = home.Ed25519(o.next)
	}
	current := home.Ed25519(o.current)
	o.speaks.Store(&current)
	node, err := consensus.New(o.config)
	if err != nil {
		return err
	}
	o.engine.node.Store(node)
	return nil
}

// attester returns the node key that the ledger lists. It may be called from any goroutine once prepare has returned.
func (o *orderer) attester() crypto.Signer { return *o.speaks.Load() }

// adopt makes the key that was laid ready this node's, for good, if the ledger lists it. It reports whether it did.
func (o *orderer) adopt() (bool, error) {
	if o.next.IsZero() {
		var err error
		if o.next, err = o.home.LoadNextNodeKey(); err != nil {
			return false, fmt.Errorf("read the node key that was laid ready: %w", err)
		}
	}
	node := o.engine.mesh.ledger.Load().Listed(o.self)
	if o.next.IsZero() || node == nil || !bytes.Equal(node.NodeKey, o.next.Public().Bytes()) {
		return false, nil
	}
	if err := o.home.SwitchNodeKey(node.NodeKey); err != nil {
		return false, fmt.Errorf("switch the node key: %w", err)
	}
	o.log.Info("the ledger lists another node key for this node", "key", o.next.Public().String())
	o.current, o.next = o.next, keys.PrivateKey{}
	return true, nil
}

// run runs one engine after the other until the context ends or one fails.
func (o *orderer) run(ctx context.Context) error {
	for {
		life, end := context.WithCancel(ctx)
		watching := make(chan error, 1)
		go func() {
			defer end()
			watching <- o.watch(life)
		}()
		err := o.engine.node.Load().Run(life)
		end()
		why := <-watching
		if err != nil || ctx.Err() != nil || !errors.Is(why, errOtherKey) {
			return errors.Join(err, why)
		}
		if err := o.assemble(); err != nil {
			return fmt.Errorf("begin again under another node key: %w", err)
		}
	}
}

// watch returns [errOtherKey] when the engine has to begin again, nil when the context ends, or a failure.
func (o *orderer) watch(ctx context.Context) error {
	tick := time.NewTicker(keyInterval)
	defer tick.Stop()
	met := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		adopted, err := o.adopt()
		if err != nil {
			return err
		}
		if adopted {
			was := o.tryNext
			if o.tryNext = false; !was {
				return errOtherKey
			}
		}
		if len(o.engine.node.Load().Status().Peers) > 0 || o.engine.needsNobody() {
			met = time.Now()
		}
		if !o.next.IsZero() && time.Since(met) > lonely {
			o.tryNext = !o.tryNext
			o.log.Warn("no member is connected: trying the other node key")
			return errOtherKey
		}
	}
}
