//go:build linux && amd64 && !race

package costs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// child is set in the process whose instructions are counted.
	child = "ALTHING_COSTS_CHILD"
	// What it counts there: both, or only what every machine can.
	everything, onlyAllocations = "everything", "allocations"
	// The child's ends of its pipes: what it measures itself goes out, leave to begin comes in.
	reportFile, leaveFile = 3, 4
	// patience bounds how long one workload may be stepped. It decides nothing but when to give up.
	patience = 5 * time.Minute
	// Rounds that the child runs before the one that is stepped: those that warm caches up, and those whose allocations count.
	warmRounds, allocationRounds = 3, 5
)

// settings make every run of the child the same. One processor of Go, no preemption and no collector leave one thread that ever
// runs code of ours; processors that have more than required, below, are used as if they had not.
var settings = []string{
	"GOMAXPROCS=1", "GOGC=100", "GOMEMLIMIT=off",
	"GODEBUG=asyncpreemptoff=1,cpu.erms=off,cpu.fsrm=off,cpu.vpclmulqdq=off," +
		"cpu.avx512f=off,cpu.avx512cd=off,cpu.avx512bw=off,cpu.avx512dq=off,cpu.avx512vl=off",
}

// required are extensions that code in assembly makes use of where they are there, as /proc/cpuinfo names them. Without the first, hashing
// takes nine times as many instructions.
var required = []string{"sha_ni", "avx2", "bmi1", "bmi2", "adx", "aes", "fma", "pclmulqdq", "popcnt", "sse4_1", "sse4_2"}

// cost is what one step of a workload took.
type cost struct{ Instructions, Allocations, Bytes uint64 }

// begin sets a workload up in the child and returns what prepares the next round: a function for each of the steps. Only what those
// do is counted.
type begin func(t *testing.T) (next func() []func())

// measure returns what each step of the workload of this test takes. It runs in two processes: the test's own, which traces, and
// a child that runs this test alone, in which measure returns nothing. Where instructions cannot be counted, the log says why, and
// there are none.
func measure(t *testing.T, b begin, rounds int) []cost {
	t.Helper()
	if what := os.Getenv(child); what != "" {
		run(t, b, rounds, what)
		return nil
	}
	if testing.CoverMode() != "" {
		t.Skip("code that counts its own coverage costs more: the budgets are for code that does not")
	}
	obstacle := processor(t)
	if obstacle == nil {
		costs, err := trace(t, everything)
		if err == nil {
			return costs
		}
		if !errors.Is(err, unix.EPERM) {
			t.Fatal(err)
		}
		obstacle = err
	}
	t.Logf("instructions are not counted: %v", obstacle)
	costs, err := trace(t, onlyAllocations)
	if err != nil {
		t.Fatal(err)
	}
	return costs
}

// processor returns what this processor lacks of those that the budgets are of, nil for nothing.
func processor(t *testing.T) error {
	t.Helper()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for line := range strings.Lines(string(info)) {
		if name, list, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "flags" {
			flags = strings.Fields(list)
			break
		}
	}
	for _, name := range required {
		if !slices.Contains(flags, name) {
			return fmt.Errorf("this processor has no %s, and the budgets are of those that have", name)
		}
	}
	return nil
}

// run is the child: it measures allocations, waits until all its other threads stand still, and counts the steps of some rounds.
func run(t *testing.T, b begin, rounds int, what string) {
	t.Helper()
	next := b(t)
	// Twice: what a pool holds survives one collection.
	runtime.GC()
	runtime.GC()
	debug.SetGCPercent(-1)
	var least []cost
	for i := range warmRounds + allocationRounds {
		round := allocations(next())
		if i <= warmRounds {
			least = round
			continue
		}
		for k, c := range round {
			least[k].Allocations, least[k].Bytes = min(least[k].Allocations, c.Allocations), min(least[k].Bytes, c.Bytes)
		}
	}
	if what == everything {
		countSteps(t, next, rounds, least)
	}
	report, err := json.Marshal(least)
	if err != nil {
		t.Fatal(err)
	}
	write(t, string(report))
	awaitLeave() // It ends when all threads have been let go: this process must not end before.
}

// countSteps notes the least number of instructions that each step takes in some rounds.
func countSteps(t *testing.T, next func() []func(), rounds int, least []cost) {
	t.Helper()
	if err := takeTraps(); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	write(t, fmt.Sprintln(unix.Gettid()))
	if !awaitLeave() {
		t.Fatal("the other process has ended before this one could begin")
	}
	// What else can run does so now, and later on this very thread: there is no other. So goroutines count as well.
	runtime.UnlockOSThread()
	runtime.Gosched()
	for i := range rounds {
		for k, step := range next() {
			if n := count(step); i == 0 || n < least[k].Instructions {
				least[k].Instructions = n
			}
		}
	}
}

// awaitLeave waits for the other process and reports whether it still gives leave. The runtime must not learn that this thread waits, or
// another one would take its place.
func awaitLeave() bool {
	var leave [1]byte
	n, _, _ := unix.RawSyscall(unix.SYS_READ, leaveFile, uintptr(unsafe.Pointer(&leave)), 1)
	return n == 1
}

// write reports to the other process.
func write(t *testing.T, report string) {
	t.Helper()
	if n, _, errno := unix.RawSyscall(unix.SYS_WRITE, reportFile, uintptr(unsafe.Pointer(unsafe.StringData(report))), uintptr(len(report))); int(n) != len(report) {
		t.Fatalf("report to the other process: %v", errno)
	}
}

// allocations runs steps and returns what each allocated.
func allocations(steps []func()) []cost {
	costs := make([]cost, len(steps))
	var before, after runtime.MemStats
	for i, step := range steps {
		runtime.ReadMemStats(&before)
		step()
		runtime.ReadMemStats(&after)
		costs[i] = cost{Allocations: after.Mallocs - before.Mallocs, Bytes: after.TotalAlloc - before.TotalAlloc}
	}
	return costs
}

// trace starts the child and returns what it counts. An error that is [unix.EPERM] says that this process may not trace.
func trace(t *testing.T, what string) (costs []cost, err error) {
	// A process is traced by one thread. It is never unlocked: it ends with this test, and what it traces ends with it.
	runtime.LockOSThread()
	reports, itsReports, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reports.Close()
	itsLeave, leave, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer leave.Close()
	var output bytes.Buffer
	command := exec.Command("/proc/self/exe", "-test.run="+only(t.Name()), "-test.count=1", "-test.v")
	command.Env = append(append(os.Environ(), settings...), child+"="+what)
	command.Stdout, command.Stderr = &output, &output
	command.ExtraFiles = []*os.File{reportFile - 3: itsReports, leaveFile - 3: itsLeave}
	err = command.Start()
	itsReports.Close()
	itsLeave.Close()
	if err != nil {
		return nil, err
	}
	threads := tracer{pid: command.Process.Pid, still: map[int]bool{}}
	impatient := time.AfterFunc(patience, func() { command.Process.Kill() })
	defer func() {
		if err != nil {
			command.Process.Kill()
			threads.bury()
		}
		leave.Close()
		ended := command.Wait()
		if err == nil {
			err = ended
		}
		if !impatient.Stop() {
			err = fmt.Errorf("it took more than %v, or waits for a thread that stands still: %w", patience, err)
		}
		if err != nil {
			err = fmt.Errorf("%w; the child's output:\n%s", err, &output)
		}
	}()
	if what == everything {
		if _, err := fmt.Fscanln(reports, &threads.works); err != nil {
			return nil, fmt.Errorf("the child ended before it was ready: %w", err)
		}
		if err := threads.freeze(); err != nil {
			return nil, err
		}
		if _, err := leave.Write([]byte{1}); err != nil {
			return nil, err
		}
	}
	if err := json.NewDecoder(reports).Decode(&costs); err != nil {
		return nil, fmt.Errorf("the child ended while it was counting: %w", err)
	}
	return costs, threads.release()
}

// only is the pattern for -test.run that matches one test.
func only(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// tracer holds the threads of the child.
type tracer struct {
	pid   int
	works int          // the thread that is not held
	still map[int]bool // all others: do they stand still, to the end?
}

// freeze stops every thread but one. What will not go on must hold no lock of the runtime: it is stopped only where it waits.
func (r *tracer) freeze() error {
	for {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.pid))
		if err != nil {
			return err
		}
		quiet := true
		for _, entry := range entries {
			thread, err := strconv.Atoi(entry.Name())
			if err != nil {
				return err
			}
			if thread == r.works {
				continue
			}
			waits, err := r.stop(thread)
			if err != nil {
				return err
			}
			quiet = quiet && waits
		}
		if quiet {
			return nil
		}
	}
}

// stop stops a thread and reports whether it had been stopped before. If it was doing anything but waiting, it is let go on.
func (r *tracer) stop(thread int) (stopped bool, err error) {
	if r.still[thread] {
		return true, nil
	}
	_, seized := r.still[thread]
	if !seized {
		if err := unix.PtraceSeize(thread); errors.Is(err, unix.ESRCH) {
			return false, nil // It has just ended.
		} else if err != nil {
			return false, fmt.Errorf("trace the child: %w; the count needs leave to trace a process of its own: "+
				"kernel.yama.ptrace_scope at most 1, in a container that allows ptrace", err)
		}
		r.still[thread] = false
	}
	if err := unix.PtraceInterrupt(thread); err != nil {
		return false, fmt.Errorf("stop thread %d: %w", thread, err)
	}
	if err := r.wait(thread); err != nil {
		return false, err
	}
	var registers unix.PtraceRegs
	if err := unix.PtraceGetRegs(thread, &registers); err != nil {
		return false, fmt.Errorf("read registers of thread %d: %w", thread, err)
	}
	if slices.Contains([]int64{unix.SYS_FUTEX, unix.SYS_EPOLL_PWAIT, unix.SYS_NANOSLEEP}, int64(registers.Orig_rax)) {
		r.still[thread] = true
		return false, nil
	}
	return false, unix.PtraceCont(thread, 0)
}

// wait returns when a thread has stopped.
func (r *tracer) wait(thread int) error {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(thread, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for thread %d: %w", thread, err)
		case !status.Stopped():
			return fmt.Errorf("the child has ended, with %#x", uint32(status))
		default:
			return nil
		}
	}
}

// release lets all threads run again, untraced.
func (r *tracer) release() error {
	for thread := range r.still {
		if err := unix.PtraceDetach(thread); err != nil {
			return fmt.Errorf("let thread %d go: %w", thread, err)
		}
	}
	return nil
}

// bury waits for the threads of a child that was killed. It does not count as ended before whoever traces them has done so.
func (r *tracer) bury() {
	for thread := range r.still {
		if thread == r.pid {
			continue // It ends last, and is waited for as the process.
		}
		for r.wait(thread) == nil {
		}
	}
}
