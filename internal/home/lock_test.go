package home

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// holdVariable makes the test binary a process that locks the named file, says so, and waits for its input to end.
const holdVariable = "ALTHING_TEST_HOLD"

func TestMain(m *testing.M) {
	path := os.Getenv(holdVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	if _, err := LockFile(path); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// hold starts a process that holds the lock of a home.
func hold(t *testing.T, dir Dir) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVariable+"="+dir.PID())
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.TrimSpace(said) != "locked" {
		t.Fatalf("the process said %q, %v", said, err)
	}
	return cmd
}

func TestRunningProcessIsFoundAndGone(t *testing.T) {
	t.Parallel()
	dir := Dir(t.TempDir())
	expect := func(want bool, pid int) {
		t.Helper()
		p, running, err := Running(string(dir))
		if err != nil || running != want || p.PID != pid || p.Foreign {
			t.Fatalf("running %v as %+v, %v; want %v as %d", running, p, err, want, pid)
		}
	}
	expect(false, 0)
	cmd := hold(t, dir)
	expect(true, cmd.Process.Pid)

	var inUse *InUseError
	if _, err := LockFile(dir.PID()); !errors.As(err, &inUse) || inUse.PID != cmd.Process.Pid || !errors.Is(err, ErrInUse) {
		t.Errorf("locking it too: %v, want InUseError of %d", err, cmd.Process.Pid)
	}
	var kind ErrorKind
	if _, err := LockFile(dir.PID()); !errors.As(err, &kind) || kind != ErrInUse {
		t.Errorf("the kind of %v is not found", err)
	}

	// However it ends: the number stays in the file and means nothing any more.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if content, err := os.ReadFile(dir.PID()); err != nil || !strings.Contains(string(content), "pid") {
		t.Fatalf("the file of the killed process has %q, %v", content, err)
	}
	expect(false, 0)

	again := hold(t, dir)
	expect(true, again.Process.Pid)
}

// TestRecycledNumberIsNotTaken: the file names a living process, this one, which does not hold the lock.
func TestRecycledNumberIsNotTaken(t *testing.T) {
	t.Parallel()
	dir := Dir(t.TempDir())
	mustWrite(t, dir.PID(), fmt.Sprintf("{\"pid\": %d}\n", os.Getpid()))
	if p, running, err := Running(string(dir)); running || err != nil {
		t.Errorf("found %+v, %v; want nobody", p, err)
	}
}

func TestNumberOfAnotherNamespace(t *testing.T) {
	t.Parallel()
	dir := Dir(t.TempDir())
	lock, err := LockFile(dir.PID())
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]Process{
		`{"pid": 1, "pid_namespace": "pid:[1]"}`: {PID: 1, Foreign: true},
		"":                                       {},
		`{"pid": 4`:                              {},
	} {
		mustWrite(t, dir.PID(), content)
		if p, running, err := Running(string(dir)); !running || err != nil || p != want {
			t.Errorf("%q: found %+v, %v, %v; want %+v", content, p, running, err, want)
		}
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, running, err := Running(string(dir)); running || err != nil {
		t.Errorf("after Close: %v, %v", running, err)
	}
}

// TestLookingDoesNotKeepOut has someone look at the lock all the time while it is taken again and again.
func TestLookingDoesNotKeepOut(t *testing.T) {
	t.Parallel()
	dir := Dir(t.TempDir())
	mustWrite(t, dir.PID(), "")
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, _, err := Running(string(dir)); err != nil {
				done <- err
				return
			}
		}
	}()
	for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline); {
		lock, err := LockFile(dir.PID())
		if err != nil {
			t.Error(err)
			break
		}
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := LockFile(filepath.Join(string(dir), "none", "x")); err == nil {
		t.Error("a lock in a directory that does not exist")
	}
}
