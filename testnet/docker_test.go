//go:build docker

package testnet_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/althing-ledger/althing/testnet"
)

// compose runs docker-compose, or the compose of docker itself where that is what there is.
func compose(ctx context.Context, n *testnet.Network, args ...string) (string, error) {
	program := []string{"docker-compose"}
	if _, err := exec.LookPath(program[0]); err != nil {
		program = []string{"docker", "compose"}
	}
	program = append(append(program, "--file", n.ComposeFile()), args...)
	said, err := exec.CommandContext(ctx, program[0], program[1:]...).CombinedOutput()
	return string(said), err
}

func mustCompose(t *testing.T, n *testnet.Network, args ...string) string {
	t.Helper()
	said, err := compose(t.Context(), n, args...)
	if err != nil {
		t.Fatalf("docker-compose %v: %v\n%s", args, err, said)
	}
	return said
}

// TestContainers needs docker and docker-compose: go test -tags docker -run Containers ./testnet
func TestContainers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	n, err := testnet.Compose(dir, testnet.ComposeOptions{Binary: binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if said, err := compose(context.Background(), n, "down", "--rmi", "all"); err != nil {
			t.Errorf("docker-compose down: %v\n%s", err, said)
		}
	})
	if built, err := n.BuildImage(t.Context()); err != nil || !built {
		t.Fatalf("image built: %v, %v", built, err)
	}
	mustCompose(t, n, "up", "-d")
	awaitHealthy(t, n)
	demo(t, n)
	mustCompose(t, n, "kill", "globex-1")
	mustCompose(t, n, "up", "-d")
	height, _ := agree(t, n)

	// The ledger outlives the containers, and the image is built by docker-compose where it is missing.
	mustCompose(t, n, "down", "--rmi", "all")
	mustCompose(t, n, "up", "-d")
	awaitHealthy(t, n)
	if again, _ := agree(t, n); again < height {
		t.Errorf("height %d, was %d", again, height)
	}
	demo(t, n)
	for _, id := range strings.Fields(mustCompose(t, n, "ps", "-q")) {
		format := "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}"
		said, err := exec.CommandContext(t.Context(), "docker", "inspect", "--format", format, id).Output()
		if text := string(said); err != nil || strings.HasPrefix(text, "0") || !strings.Contains(text, " true [ALL]") {
			t.Errorf("container %s has user, read-only root and dropped capabilities %q, %v", id, text, err)
		}
	}
}

// awaitHealthy waits until docker thinks that every node is ready.
func awaitHealthy(t *testing.T, n *testnet.Network) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	healthy := 0
	err := n.Watch(ctx, time.Second, func(s testnet.Snapshot) {
		said, err := compose(ctx, n, "ps")
		if healthy = strings.Count(said, "(healthy)"); err == nil && healthy == len(s.Nodes) {
			cancel()
		}
	})
	if err != nil || healthy != len(n.File.Nodes) {
		t.Fatalf("%d nodes are healthy, %v\n%s", healthy, err, mustCompose(t, n, "logs", "--tail", "20"))
	}
}
