package loadgen

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestLocalProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		u, err := LocalProcess{PID: os.Getpid()}.Sample(t.Context())
		if err == nil || u.CPU >= 0 {
			t.Errorf("%+v, %v", u, err)
		}
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := LocalProcess{PID: os.Getpid(), Dir: dir}.Sample(t.Context())
	if err != nil || u.CPU < 0 || u.RSS < 1<<20 || u.Disk < 0 {
		t.Errorf("this process: %+v, %v", u, err)
	}
	if u, err = (LocalProcess{PID: os.Getpid()}).Sample(t.Context()); err != nil || u.Disk >= 0 {
		t.Errorf("without a directory: %+v, %v", u, err)
	}
	// No process has this number: it is above the most that Linux gives.
	if u, err = (LocalProcess{PID: 1 << 23}).Sample(t.Context()); err == nil || u.CPU >= 0 {
		t.Errorf("no process: %+v, %v", u, err)
	}
}
