package pgindex

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds every wait of these tests.
const patience = time.Minute

// cluster is a PostgreSQL server of a test's own, with its files below /tmp, reached through a socket there.
type cluster struct {
	t       testing.TB
	bin     string
	dir     string // short: the path of a socket has at most some hundred bytes
	owner   *syscall.Credential
	process *exec.Cmd
	log     bytes.Buffer
}

// programs finds the directory of the server's programs.
func programs(t testing.TB) string {
	t.Helper()
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, path)
		}
	}
	for i := len(candidates) - 1; i >= 0; i-- {
		dir := filepath.Dir(candidates[i])
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir
		}
	}
	t.Fatal("this test runs a PostgreSQL server of its own and finds none: install the package postgresql (Debian, Ubuntu), " +
		"postgresql-server (Fedora) or postgresql (Homebrew), or put initdb and postgres on the PATH")
	return ""
}

// unprivileged returns who runs the server, which refuses to be root: nil for this user.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("this test is run by root, and there is no user postgres or nobody to run PostgreSQL as")
	return nil
}

// newCluster starts a server that ends with the test.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t, bin: programs(t), owner: unprivileged(t)}
	var err error
	// Not t.TempDir: another user could not enter it.
	if c.dir, err = os.MkdirTemp("/tmp", "althing-pg"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(c.dir); err != nil {
			t.Error(err)
		}
	})
	if c.owner != nil {
		if err := os.Chown(c.dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	initdb := c.command("initdb", "-D", filepath.Join(c.dir, "data"), "-U", "althing", "--auth=trust", "--encoding=UTF8",
		"--locale=C", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	c.start()
	t.Cleanup(func() { c.stop(syscall.SIGINT) })
	return c
}

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir, cmd.Env = c.dir, []string{"PATH=" + c.bin, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	return cmd
}

// start runs the server and waits until it answers.
func (c *cluster) start() {
	c.t.Helper()
	c.process = c.command("postgres", "-D", filepath.Join(c.dir, "data"), "-k", c.dir,
		"-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-c", "max_connections=20", "-c", "fsync=off")
	c.log.Reset()
	c.process.Stderr = &c.log
	if err := c.process.Start(); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "PostgreSQL answers", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, c.url())
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// stop ends the server: SIGINT politely, SIGQUIT as in a crash.
func (c *cluster) stop(how syscall.Signal) {
	c.t.Helper()
	if c.process == nil {
		return
	}
	if err := c.process.Process.Signal(how); err != nil {
		c.t.Error(err)
	}
	hard := time.AfterFunc(patience, func() { _ = c.process.Process.Kill() })
	defer hard.Stop()
	err := c.process.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Error(err)
	}
	if how == syscall.SIGINT && err != nil {
		c.t.Errorf("PostgreSQL ended: %v\n%s", err, c.log.String())
	}
	c.process = nil
}

func (c *cluster) url() string { return fmt.Sprintf("host=%s user=althing dbname=postgres", c.dir) }

// connect returns a connection that is closed when the test ends.
func (c *cluster) connect() *pgx.Conn {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.url())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for %v until %s: %v", patience, what, err)
		}
	}
}
