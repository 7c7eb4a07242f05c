package testnet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/althing-ledger/althing/internal/home"
)

// maxBinaryBytes bounds what is taken for a program.
const maxBinaryBytes = 1 << 30

// imageRecipe is the Dockerfile beside the binary. There is nothing in the image but the binary.
const imageRecipe = `FROM scratch
COPY althing /althing
USER 65532:65532
ENTRYPOINT ["/althing"]
`

// image is what a container image is built from.
type image struct {
	binary []byte
	digest string // hex
}

// readBinary reads the program for the image, this one if path is empty, and checks that it can run without anything
// around it.
func readBinary(path string) (*image, error) {
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	binary, err := io.ReadAll(io.LimitReader(f, maxBinaryBytes+1))
	if err != nil {
		return nil, err
	}
	if len(binary) > maxBinaryBytes {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrImage, path, maxBinaryBytes)
	}
	if err := checkStatic(binary); err != nil {
		return nil, fmt.Errorf("%w: %s %w", ErrImage, path, err)
	}
	sum := sha256.Sum256(binary)
	return &image{binary: binary, digest: hex.EncodeToString(sum[:])}, nil
}

// checkStatic refuses what is no Linux program, or one that needs a loader, which an empty image does not have.
func checkStatic(binary []byte) error {
	program, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return errors.New("is no program for Linux")
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return errors.New("is linked dynamically")
		}
	}
	return nil
}

// BuildHint is the command that makes a binary for an image.
func BuildHint() string {
	return "CGO_ENABLED=0 GOOS=linux GOARCH=" + runtime.GOARCH + " go build -o althing-linux ./cmd/althing"
}

// name is the image's name with a tag of its content, so that another binary is another image.
func (i *image) name() string { return "althing-testnet:" + i.digest[:12] }

// write makes the directory that the image is built from.
func (i *image) write(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := home.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(imageRecipe), 0o644); err != nil {
		return err
	}
	return home.WriteFile(filepath.Join(dir, "althing"), i.binary, 0o755)
}

// BuildImage has docker build the image of a network that Compose made, so that it is there before any of the services
// asks for it. built is false where there is no docker, or none that answers: docker-compose builds the image itself then.
func (n *Network) BuildImage(ctx context.Context) (built bool, err error) {
	if !n.containers {
		return false, errors.New("build image: the network is one of processes")
	}
	docker, err := exec.LookPath("docker")
	if err != nil {
		return false, nil
	}
	if exec.CommandContext(ctx, docker, "version").Run() != nil {
		return false, ctx.Err()
	}
	content, err := readBinary(filepath.Join(n.Dir, imageDir, "althing"))
	if err != nil {
		return false, fmt.Errorf("build image: %w", err)
	}
	said, err := exec.CommandContext(ctx, docker, "build", "--tag", content.name(), filepath.Join(n.Dir, imageDir)).CombinedOutput()
	if err != nil {
		return false, fmt.Errorf("build image: docker build: %w: %s", err, bytes.TrimSpace(said))
	}
	return true, nil
}
