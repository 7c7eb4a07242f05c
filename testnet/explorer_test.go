package testnet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/althing-ledger/althing/testnet"
)

// browsers are the names under which a headless Chromium is installed.
var browsers = []string{"chromium-headless-shell", "chromium", "google-chrome", "chrome"}

// pageWithin bounds how long the page may take to show something.
const pageWithin = 30 * time.Second

// browser is a tab of a real browser. What the page complains about fails the test.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu        sync.Mutex
	complains []string
}

func openBrowser(t *testing.T, url string) *browser {
	t.Helper()
	program := ""
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Fatalf("no browser: install Chromium (Debian: chromium-headless-shell); looked for %v", browsers)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.Func(b.listen), chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return b
}

// listen notes what the page complains about, until the tab closes.
func (b *browser) listen(ctx context.Context, tab *chromedp.Target) error {
	if _, err := cdp.Call(ctx, tab, runtime.Enable, cdp.Empty{}); err != nil {
		return err
	}
	if _, err := cdp.Call(ctx, tab, log.Enable, cdp.Empty{}); err != nil {
		return err
	}
	thrown, logged := cdp.Events(b.ctx, tab, runtime.ExceptionThrown), cdp.Events(b.ctx, tab, log.EntryAdded)
	go func() {
		for e, err := range thrown {
			if err != nil {
				return
			}
			b.complain(fmt.Sprint(e.ExceptionDetails))
		}
	}()
	go func() {
		for e, err := range logged {
			if err != nil {
				return
			}
			// What is not there is a 404, which the browser calls an error.
			if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "status of 404") {
				b.complain(e.Entry.Text)
			}
		}
	}()
	return nil
}

func (b *browser) complain(about string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complains = append(b.complains, about)
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageWithin)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v\nthe page shows:\n%s", err, b.text())
	}
}

// ask evaluates an expression in the page.
func ask[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageWithin)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func (b *browser) text() string { return ask[string](b, `document.body.innerText`) }

// visit goes to a page of the explorer and waits until it shows all of the words.
func (b *browser) visit(page string, words ...string) {
	b.t.Helper()
	ask[string](b, fmt.Sprintf("location.hash = %q", "#/"+page))
	b.shows(words...)
}

func (b *browser) shows(words ...string) {
	b.t.Helper()
	all, err := json.Marshal(words)
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Poll[chromedp.Void](fmt.Sprintf("%s.every((word) => document.getElementById('main').innerText.includes(word))", all),
		chromedp.WithPollingTimeout(pageWithin)))
}

// marks returns how many values are shown as verified, and how many as a node's word.
func (b *browser) marks() (proven, said int) {
	b.t.Helper()
	return ask[int](b, `document.querySelectorAll("#main .mark.proven, #main .tick").length`),
		ask[int](b, `document.querySelectorAll("#main .mark.word, #main .said").length`)
}

// search types into the field, as a reader does.
func (b *browser) search(query string, words ...string) {
	b.t.Helper()
	b.do(chromedp.SetValue("#query", query), chromedp.SendKeys("#query", "\r"))
	b.shows(words...)
}

// explore starts the explorer of a network, as a process, and returns its address.
func explore(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.Command(binary(t), "--network", dir, "explorer", "--listen", "127.0.0.1:0", "--output", "json")
	var bad bytes.Buffer
	cmd.Stderr = &bad
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the explorer ended with %v\n%s", err, bad.String())
		}
	})
	var said struct{ URL string }
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatalf("%v\n%s", err, bad.String())
	}
	return said.URL
}

// TestExplorer looks at a network through a real browser.
func TestExplorer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	n := launch(t, dir, testnet.Options{Validators: 4})
	demo(t, n)
	var put struct {
		ID     string `json:"id"`
		Height uint64 `json:"height"`
	}
	note := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(note, []byte("<b>bold</b>"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, n, &put, "record", "put", "acme/notes/first", "--file", note, "--content-type", "text/plain", "--as", "acme/admin")
	b := openBrowser(t, explore(t, dir))

	b.shows("acme-1", "globex-1", "Validators", "Blocks")
	if proven, said := b.marks(); proven < 12 || said < 4 {
		t.Errorf("the first page has %d verified values and %d of a node's word", proven, said)
	}
	b.visit(fmt.Sprintf("blocks/%d", put.Height), "Header", put.ID[:16], "record put", "applied", "✓ verified at height")
	b.visit("tx/"+put.ID, "Applied", put.ID, "acme/notes/first", "record put")
	if proven, _ := b.marks(); proven < 8 {
		t.Errorf("the page of a transaction has %d verified values", proven)
	}
	b.visit("orgs", "acme", "globex", "active")
	b.visit("orgs/acme", "acme/admin", "✓ verified")
	b.visit("accounts/acme/admin", "Roles", "admin", put.ID[:16])
	b.visit("assets", "acme/usd")
	b.visit("assets/acme/usd", "Supply", "Holders", "globex/")
	b.visit("nodes/acme-1", "validator", "Node key")
	b.visit("proposals", "Proposals")
	b.visit("charter", "max block bytes")
	b.visit("collections/acme/notes", "acme/notes/first")
	b.visit("records/acme/notes/first", "<b>bold</b>", "acme/admin", "Versions")
	if ask[int](b, `document.querySelectorAll("#main b").length`) != 0 {
		t.Error("what stands in a record became markup")
	}

	b.search(put.ID, "Applied", put.ID)
	b.search("1", "Block 1")
	b.search("globex", "Organisation")
	b.search("globex-1", "Node key")
	b.search("acme/usd", "Supply")
	b.search("acme/notes/first", "Versions")
	b.search("nobody", "Nothing found")
	b.visit("tx/"+strings.Repeat("0", 64), "Not there")

	// The first page follows the network by itself.
	b.visit("", "Validators")
	var next struct {
		Height uint64 `json:"height"`
	}
	run(t, n, &next, "record", "put", "acme/notes/second", "--file", note, "--content-type", "text/plain", "--as", "acme/admin")
	b.shows(fmt.Sprint(next.Height))

	// On a phone nothing is wider than the screen.
	b.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	for _, page := range []string{"", fmt.Sprintf("blocks/%d", put.Height), "tx/" + put.ID, "accounts/acme/admin", "records/acme/notes/first"} {
		b.visit(page, "✓")
		if ask[bool](b, `document.documentElement.scrollWidth > document.documentElement.clientWidth`) {
			t.Errorf("page %q is wider than a phone", page)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complains) > 0 {
		t.Errorf("the browser complains: %q", b.complains)
	}
}
