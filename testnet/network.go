package testnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
)

// What lies where in a network's directory.
const (
	genesisFile = "genesis.json"
	keysDir     = "keys"
	nodesDir    = "nodes"
	lockFile    = "testnet.lock"
	composeFile = "docker-compose.yaml"
	imageDir    = "image"
)

// Network is a local network: a directory and what may run in it.
type Network struct {
	// Dir is absolute.
	Dir string
	// File is the network file, with absolute paths.
	File *client.Network
	// Binary is the program that nodes run, as `BINARY network start --home HOME`. Default: this one.
	Binary string
	// Reader says as whom to read where the charter keeps reads to members. Nil reads without a token: then little is known
	// of a network that is closed so.
	Reader *client.TokenSource
	// ReadyTimeout is how long starting may take. Default 60 s: a laptop under load, sixteen nodes.
	ReadyTimeout time.Duration
	// StopTimeout is how long a node may take to stop before it is killed. Default 15 s.
	StopTimeout time.Duration

	containers bool
}

// New makes the directory of a network of processes, completely or not at all, and starts nothing. The error is
// [ErrOptions], [ErrNotDirectory], [ErrExists] if dir is a directory and not empty, or [ErrPortInUse].
func New(dir string, o Options) (network *Network, err error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("new network: %w", err)
	}
	if err := checkDirectory(dir); err != nil {
		return nil, err
	}
	free, err := reserve(portsPerNode * o.Validators)
	if err != nil {
		return nil, fmt.Errorf("new network: %w", err)
	}
	// Until everything is written, so that two commands at once do not choose the same ports.
	defer func() { err = errors.Join(err, free.Close()) }()
	p, err := makePlan(o, time.Now().Truncate(time.Second), func(string) placement { return onLoopback(free) })
	if err != nil {
		return nil, fmt.Errorf("new network: %w", err)
	}
	if err := build(dir, p.write); err != nil {
		return nil, fmt.Errorf("new network: %w", err)
	}
	return Open(dir)
}

// build makes a directory, completely or not at all.
func build(dir string, fill func(temporary string) error) error {
	err := home.BuildDir(dir, fill)
	if errors.Is(err, home.ErrExists) {
		return fmt.Errorf("%w: %s", ErrExists, dir)
	}
	return err
}

// write fills the directory of a network.
func (p *plan) write(dir string) error {
	if err := home.WriteFile(filepath.Join(dir, genesisFile), p.document, 0o644); err != nil {
		return err
	}
	for _, a := range p.accounts {
		of := filepath.Join(dir, keysDir, a.org)
		if err := os.MkdirAll(of, 0o700); err != nil {
			return err
		}
		if err := keys.SaveFile(filepath.Join(of, a.name+".json"), a.key); err != nil {
			return err
		}
	}
	for _, n := range p.nodes {
		err := home.Init(filepath.Join(dir, nodesDir, n.config.Name), home.Options{
			Config: n.config, Genesis: p.document, NodeKey: n.node, ValidatorKey: n.validator,
		})
		if err != nil {
			return err
		}
	}
	return client.SaveNetwork(filepath.Join(dir, client.NetworkFileName), p.network())
}

// checkDirectory refuses a name that something other than a directory has.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	if (err == nil && !info.IsDir()) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%s is %w", dir, ErrNotDirectory)
	}
	return nil
}

// Open finds a network that New or Compose made. The error is [ErrNotNetwork] if there is none at dir, or
// [ErrNotDirectory].
func Open(dir string) (*Network, error) {
	if err := checkDirectory(dir); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	file, err := client.LoadNetwork(filepath.Join(absolute, client.NetworkFileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open network: %w: %s has no %s", ErrNotNetwork, dir, client.NetworkFileName)
	}
	if err != nil {
		return nil, fmt.Errorf("open network %s: %w", dir, err)
	}
	for _, node := range file.Nodes {
		if node.Home == "" {
			return nil, fmt.Errorf("open network: %w: node %s of %s does not run on this machine", ErrNotNetwork, node.Name, dir)
		}
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	n := &Network{Dir: absolute, File: file, Binary: binary, ReadyTimeout: time.Minute, StopTimeout: 15 * time.Second}
	switch _, err := os.Lstat(n.ComposeFile()); {
	case err == nil:
		n.containers = true
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open network: %w", err)
	}
	return n, nil
}

// ComposeFile is the path of the compose file, which only networks in containers have.
func (n *Network) ComposeFile() string { return filepath.Join(n.Dir, composeFile) }

// Containers says whether the nodes run in containers, which docker-compose starts and stops.
func (n *Network) Containers() bool { return n.containers }

// node returns the node of the name. The error is [ErrUnknownNode] and lists those that there are.
func (n *Network) node(name string) (client.Node, error) {
	var known []string
	for _, node := range n.File.Nodes {
		if node.Name == name {
			return node, nil
		}
		known = append(known, node.Name)
	}
	return client.Node{}, fmt.Errorf("%w: %q; there are %v", ErrUnknownNode, name, known)
}

// lock keeps other commands from starting and stopping nodes of the same network.
func (n *Network) lock() (*home.Lock, error) {
	if n.containers {
		return nil, fmt.Errorf("%w: use docker-compose -f %s", ErrContainers, n.ComposeFile())
	}
	lock, err := home.LockFile(filepath.Join(n.Dir, lockFile))
	if errors.Is(err, home.ErrInUse) {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return lock, err
}
