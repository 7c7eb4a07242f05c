package importrules

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// deterministic are the packages in which every node must come to the same result from the same bytes. beside
// are left out.
var deterministic = []string{"./app", "./app/exec", "./app/accounts", "./app/membership", "./app/governance", "./app/assets",
	"./app/records", "./app/queries", "./proto/tx", "./proto/names", "./proto/amount"}

// beside are packages below app in which nothing is decided: the edges translate, and followers keep what follows from blocks that
// are decided already, each node for itself.
var beside = []string{"./app/grpcapi", "./app/httpapi", "./app/follow", "./app/lineage", "./app/history"}

var bannedImports = []struct{ path, why string }{
	{"math/rand", "nodes would draw different numbers"},
	{"crypto/rand", "nodes would draw different numbers"},
	{"hash/maphash", "its seed differs between processes"},
	{"os", "files and environments differ between nodes; an I/O failure must never become a verdict"},
	{"net", "what the network answers differs between nodes"},
	{"syscall", "machines differ"},
	{"runtime", "machines differ"},
	{"unsafe", "addresses and layouts differ between machines"},
	{"reflect", "it sees addresses and map order"},
	{"plugin", "code would differ between nodes"},
	{"embed", "what decides a result belongs into the chain, not into the binary"},
}

// pure are packages below banned ones that only compute.
var pure = []string{"net/netip", "net/url"}

var bannedNames = []struct {
	path  string
	names []string
	why   string
}{
	{"time", []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"},
		"clocks differ between nodes: block time is in exec.Env"},
	{"time", []string{"Local", "LoadLocation", "Date"}, "time zones differ between machines: count nanoseconds since 1970, UTC"},
	{"context", []string{"WithTimeout", "WithDeadline", "WithTimeoutCause", "WithDeadlineCause"}, "deadlines are clocks"},
	{"maps", []string{"Keys", "Values", "All"}, "maps have another order on every node: sort the keys, or keep a slice"},
	{"sync", []string{"Pool"}, "what a pool hands out depends on what ran before"},
}

// recoverer is the one function that may recover: it looks at a proposal on the throw-away overlay.
const recoverer = "App.guarded"

// allowed are the exceptions, by file. Each says why the state does not depend on it.
var allowed = []exception{
	{"app/abci.go", "import runtime", "debug.Stack, for the log, when a proposal has panicked and is refused"},
	{"app/membership/check.go", "import net", "SplitHostPort takes text apart and asks nobody"},
	{"app/waiters.go", "map range", "each caller who waits has a channel of their own; in which order they are told changes nothing"},
	{"app/waiters.go", "select", "callers wait here, after the commit, from goroutines of their own; nothing reaches the state"},
}

type exception struct{ file, rule, why string }

func TestDeterminism(t *testing.T) {
	t.Parallel()
	check, packages := newChecker(t, deterministic...)
	if len(packages) != len(deterministic) {
		t.Errorf("go list found %d packages, the list has %d", len(packages), len(deterministic))
	}
	used := map[int]bool{}
	for _, p := range packages {
		found, err := check.check(p.ImportPath, sources(t, p))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			i := slices.IndexFunc(allowed, func(a exception) bool { return a.file == f.file && a.rule == f.rule })
			if i < 0 {
				t.Error(f)
				continue
			}
			used[i] = true
		}
	}
	for i, a := range allowed {
		if !used[i] {
			t.Errorf("%s needs no exception from %q any more: take it out", a.file, a.rule)
		}
		if a.why == "" {
			t.Errorf("the exception of %s from %q has no reason", a.file, a.rule)
		}
	}
}

// TestDeterministicIsComplete finds modules that nobody put on the list.
func TestDeterministicIsComplete(t *testing.T) {
	t.Parallel()
	for _, path := range strings.Fields(string(list(t, "./app/..."))) {
		path = "./" + strings.TrimPrefix(path, module+"/")
		if !slices.Contains(beside, path) && !strings.HasSuffix(path, "test") && !slices.Contains(deterministic, path) {
			t.Errorf("%s is part of the state machine: put it on the list of deterministic packages", path)
		}
	}
}

// TestLintFires gives the checker a bad snippet for each rule, and good ones.
func TestLintFires(t *testing.T) {
	t.Parallel()
	check, _ := newChecker(t, "time", "context", "maps", "slices", "os", "net/http", "net/netip", "math/rand/v2", "crypto/rand", "reflect", "unsafe", "fmt", "sync")
	for name, c := range map[string]struct {
		rule   string // empty for none
		source string
	}{
		"clock":              {"call", `import "time"; var V = time.Now()`},
		"clock by value":     {"call", `import "time"; var V = time.Since`},
		"clock, renamed":     {"call", `import t "time"; func F() { t.Sleep(1) }`},
		"clock, dot":         {"call", `import . "time"; var V = Now()`},
		"timer":              {"call", `import "time"; var V = time.After(time.Second)`},
		"time zone":          {"call", `import "time"; func F(t time.Time) time.Time { return t.Local() }`},
		"deadline":           {"call", `import "context"; var _, V = context.WithTimeout(context.Background(), 1)`},
		"durations are fine": {"", `import "time"; const V = 5 * time.Second; func F(t time.Time) int64 { return t.UnixNano() }`},
		"file":               {"import os", `import "os"; var _, V = os.Open("x")`},
		"network":            {"import net", `import "net/http"; var V = http.DefaultClient`},
		"random":             {"import math/rand", `import "math/rand/v2"; var V = rand.Int()`},
		"secret random":      {"import crypto/rand", `import "crypto/rand"; var V = rand.Reader`},
		"reflection":         {"import reflect", `import "reflect"; var V = reflect.ValueOf(1)`},
		"unsafe":             {"import unsafe", `import "unsafe"; var V = unsafe.Sizeof(1)`},
		"map":                {"map range", `func F(m map[string]int) { for range m { } }`},
		"named map":          {"map range", `type M map[string]int; func F(m struct{ M }) { for k := range m.M { _ = k } }`},
		"slice is fine":      {"", `func F(s []int) { for range s { } }`},
		"look-up is fine":    {"", `func F(m map[string]int) int { return m["x"] + len(m) }`},
		"keys of a map":      {"call", `import ("maps"; "slices"); func F(m map[string]int) []string { return slices.Collect(maps.Keys(m)) }`},
		"sorted keys":        {"", `import ("maps"; "slices"); func F(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }`},
		"address":            {"", `import "net/netip"; func F(s string) bool { _, err := netip.ParseAddr(s); return err == nil }`},
		"keys half sorted": {"call", `import ("maps"; "slices"); func F(m map[string]int, f func(a, b string) int) []string {
			return slices.SortedFunc(maps.Keys(m), f) }`},
		"printed map":        {"map print", `import "fmt"; func F(m map[string]int) error { return fmt.Errorf("%v", m) }`},
		"float type":         {"float", `func F(x float64) {}`},
		"float in a slice":   {"float", `type T struct { x []float32 }`},
		"float literal":      {"float", `const V = int64(1e9)`},
		"float by division":  {"float", `const V = 1.0 / 3`},
		"complex":            {"float", `var V complex128`},
		"goroutine":          {"go", `func F() { go F() }`},
		"select":             {"select", `func F(c chan int) { select { case <-c: default: } }`},
		"recover":            {"recover", `func F() { defer func() { _ = recover() }() }`},
		"recover, by name":   {"", `type App struct{}; func (*App) guarded() { defer func() { _ = recover() }() }`},
		"recover, elsewhere": {"recover", `func guarded() { defer func() { _ = recover() }() }`},
		"own recover":        {"", `func F() { recover := func() {}; recover() }`},
		"pool":               {"call", `import "sync"; var V sync.Pool`},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share the importer
			found, err := check.check("snippet", map[string][]byte{name + ".go": []byte("package snippet\n" + c.source + "\n")})
			if err != nil {
				t.Fatal(err)
			}
			rules := map[string]bool{}
			for _, f := range found {
				rules[f.rule] = true
			}
			got := strings.Join(slices.Sorted(maps.Keys(rules)), ", ")
			if got != c.rule {
				t.Errorf("rules %q fire, want %q: %v", got, c.rule, found)
			}
		})
	}
}
