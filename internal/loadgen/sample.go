package loadgen

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// clockTick is the unit of processor time in /proc: USER_HZ is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// LocalProcess is a process of this machine, looked at through /proc; elsewhere than on Linux nothing is known of it.
type LocalProcess struct {
	PID int
	// Dir is where its files lie. Empty: not known.
	Dir string
}

// Sample implements [Process].
func (p LocalProcess) Sample(context.Context) (Usage, error) {
	u := Usage{CPU: -1, RSS: -1, Disk: -1}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "stat"))
	if err != nil {
		return u, fmt.Errorf("look at process %d: %w", p.PID, err)
	}
	// The name of the program stands in parentheses and may hold anything; the third field comes behind it.
	_, rest, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields := strings.Fields(string(rest))
	if !found || len(fields) < 22 {
		return u, fmt.Errorf("look at process %d: its stat has another form than expected", p.PID)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	pages, err3 := strconv.ParseInt(fields[21], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return u, fmt.Errorf("look at process %d: its stat has no numbers where they are expected", p.PID)
	}
	u.CPU, u.RSS = time.Duration(user+system)*clockTick, pages*int64(os.Getpagesize())
	if p.Dir != "" {
		u.Disk = diskOf(p.Dir)
	}
	return u, nil
}

// diskOf returns what the files of a directory take on disk. Files that vanish meanwhile are passed over.
func diskOf(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		sum += onDisk(info)
		return nil
	})
	return sum
}

// sample is the use of the machine at one moment. A node of which nothing is known has negative numbers.
type sample struct {
	at    time.Time
	nodes []Usage
	own   time.Duration
}

// sampler looks at the processes of the nodes every second.
type sampler struct {
	nodes []Node

	mu      sync.Mutex
	samples []sample
}

// look takes a sample and returns it.
func (s *sampler) look(ctx context.Context) sample {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	taken := sample{at: time.Now(), own: ownCPU(), nodes: make([]Usage, len(s.nodes))}
	var wg sync.WaitGroup
	for i, n := range s.nodes {
		taken.nodes[i] = Usage{CPU: -1, RSS: -1, Disk: -1}
		if n.Process == nil {
			continue
		}
		wg.Go(func() {
			if u, err := n.Process.Sample(ctx); err == nil {
				taken.nodes[i] = u
			}
		})
	}
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) < maxSeconds {
		s.samples = append(s.samples, taken)
	}
	return taken
}

// run looks every second until ctx ends.
func (s *sampler) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}
