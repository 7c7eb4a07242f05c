package testnet

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/althing-ledger/althing/internal/home"
)

// Where nodes listen inside their containers, which have addresses of their own.
const (
	containerP2P     = "26656"
	containerGRPC    = "9090"
	containerMetrics = "26660"
)

// unprivileged is who runs the containers when the caller is root: the user that images without an operating system
// call nonroot.
const unprivileged = 65532

// ComposeOptions say what network of containers to make.
type ComposeOptions struct {
	Options
	// Binary is the program for the image: a statically linked one for Linux. Default: this one.
	Binary string
}

// Compose makes the directory of a network of containers, completely or not at all: what [New] makes, a
// docker-compose.yaml, and what its image is built from. It starts and builds nothing: docker-compose does. The errors are
// those of New, and [ErrImage] for a binary that no image can be made of.
func Compose(dir string, o ComposeOptions) (network *Network, err error) {
	o.Options = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("compose network: %w", err)
	}
	if err := checkDirectory(dir); err != nil {
		return nil, err
	}
	image, err := readBinary(o.Binary)
	if err != nil {
		return nil, fmt.Errorf("compose network: %w", err)
	}
	free, err := reserve(2 * o.Validators)
	if err != nil {
		return nil, fmt.Errorf("compose network: %w", err)
	}
	defer func() { err = errors.Join(err, free.Close()) }()
	c := composition{Image: image.name(), UID: os.Getuid(), GID: os.Getgid()}
	if c.UID == 0 {
		c.UID, c.GID = unprivileged, unprivileged
	}
	p, err := makePlan(o.Options, time.Now().Truncate(time.Second), c.place(free))
	if err != nil {
		return nil, fmt.Errorf("compose network: %w", err)
	}
	c.ChainID = p.genesis.ChainID
	err = build(dir, func(temporary string) error {
		if err := p.write(temporary); err != nil {
			return err
		}
		if err := image.write(filepath.Join(temporary, imageDir)); err != nil {
			return err
		}
		if err := c.write(filepath.Join(temporary, composeFile)); err != nil {
			return err
		}
		return c.giveHomes(filepath.Join(temporary, nodesDir))
	})
	if err != nil {
		return nil, fmt.Errorf("compose network: %w", err)
	}
	return Open(dir)
}

// composition is what stands in a compose file.
type composition struct {
	ChainID  string
	Image    string // name and tag
	UID, GID int    // who runs the nodes and owns their homes
	Services []service
}

type service struct {
	Name          string
	GRPC, Metrics string // where the host publishes them
}

// place puts nodes into containers that find each other by name, and publishes what clients need on loopback.
func (c *composition) place(free *ports) func(name string) placement {
	return func(name string) placement {
		s := service{Name: name, GRPC: at(free.next()), Metrics: at(free.next())}
		c.Services = append(c.Services, s)
		return placement{
			p2p:                 "0.0.0.0:" + containerP2P,
			grpc:                "0.0.0.0:" + containerGRPC,
			metrics:             "0.0.0.0:" + containerMetrics,
			reached:             name + ":" + containerP2P,
			serves:              s.GRPC,
			publishedOnLoopback: true,
		}
	}
}

//go:embed docker-compose.yaml.tmpl
var composeTemplate string

func (c *composition) encode() ([]byte, error) {
	parsed, err := template.New(composeFile).Parse(composeTemplate)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, c); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (c *composition) write(path string) error {
	content, err := c.encode()
	if err != nil {
		return err
	}
	return home.WriteFile(path, content, 0o644)
}

// giveHomes makes the containers' user the owner of the homes, where that is not the caller.
func (c *composition) giveHomes(dir string) error {
	if c.UID == os.Getuid() {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, c.UID, c.GID)
	})
}
