package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Lock is a file held by this process alone. The system lets go of it when the process ends, however it ends; so a
// locked file means a living process, and the number in it is that process's and not one that came later.
type Lock struct{ file *os.File }

// How often and at what pace a lock is tried: someone who only looks at it holds it for microseconds.
const (
	lockAttempts = 40
	lockPause    = 5 * time.Millisecond
)

// maxHolderBytes bounds what is read of a locked file.
const maxHolderBytes = 4 << 10

// holder is the content of a locked file.
type holder struct {
	PID int `json:"pid"`
	// Namespace is that of the process ids, where the system has several: PID means nothing in another one.
	Namespace string `json:"pid_namespace,omitempty"`
}

// Lock takes the home for this process, until the lock is closed or the process ends. It returns an error that is
// [ErrInUse] if another process has it. Whoever opens the databases of a home, or changes anything in it, holds
// the lock; and a node that runs is found by it, see [Running].
func (h *Home) Lock() (*Lock, error) { return LockFile(h.Dir.PID()) }

// LockFile takes the file at path, which is created if missing, for this process and writes the process's number into
// it. It returns an error that is [ErrInUse] if it is taken, by this process too. The file must not be deleted.
func LockFile(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = lockExclusive(f)
	for i := 1; i < lockAttempts && errors.Is(err, errLocked); i++ {
		time.Sleep(lockPause)
		err = lockExclusive(f)
	}
	if errors.Is(err, errLocked) {
		who, _ := readHolder(f)
		return nil, errors.Join(fmt.Errorf("lock: %w", &InUseError{Path: path, PID: who.PID}), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &Lock{file: f}, nil
}

// Close lets go of the file.
func (l *Lock) Close() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

// Process is a running process that holds a lock.
type Process struct {
	// PID is its number, 0 in the moment between its start and its saying so.
	PID int
	// Foreign says that PID is of another namespace, as inside a container: it must not be signalled from here.
	Foreign bool
}

// Running returns the process that runs the home at dir, and whether there is one.
func Running(dir string) (Process, bool, error) {
	f, err := os.Open(Dir(dir).PID())
	if errors.Is(err, fs.ErrNotExist) {
		return Process{}, false, nil
	}
	if err != nil {
		return Process{}, false, fmt.Errorf("look for the process of %s: %w", dir, err)
	}
	defer func() { _ = f.Close() }() // which also lets go of the lock, where it was free
	err = lockShared(f)
	if err == nil {
		return Process{}, false, nil
	}
	if !errors.Is(err, errLocked) {
		return Process{}, false, fmt.Errorf("look for the process of %s: %w", dir, err)
	}
	who, err := readHolder(f)
	if err != nil {
		return Process{}, false, fmt.Errorf("look for the process of %s: %w", dir, err)
	}
	return Process{PID: who.PID, Foreign: who.PID != 0 && who.Namespace != pidNamespace()}, true, nil
}

func writeHolder(f *os.File) error {
	content, err := json.Marshal(holder{PID: os.Getpid(), Namespace: pidNamespace()})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(content, '\n'), 0)
	return err
}

// readHolder reads who holds the file. An empty or half-written one is a holder that has not said yet.
func readHolder(f io.ReaderAt) (holder, error) {
	content := make([]byte, maxHolderBytes)
	n, err := f.ReadAt(content, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return holder{}, err
	}
	var who holder
	if json.Unmarshal(content[:n], &who) != nil {
		return holder{}, nil
	}
	return who, nil
}

// pidNamespace identifies the namespace of this process's id, empty where the system has but one.
func pidNamespace() string {
	name, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return name
}
