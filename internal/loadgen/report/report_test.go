package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/internal/loadgen"
)

func known(v float64) *float64 { return &v }

func example() *loadgen.Result {
	rss := int64(300 << 20)
	return &loadgen.Result{
		CommittedTPS: 5012.5, P50: known(212.25), P99: known(600), Errors: 3, ErrorsBy: map[string]uint64{"OVERDRAFT": 2, "BACKLOG": 1},
		Busy: map[string]uint64{"FULL": 7}, RSS: &rss, Seconds: 2, Committed: 10025,
		Faults: []string{"<script>alert(1)</script>"}, Interrupted: true,
		Load: loadgen.LoadResult{Workload: "transfer", Rate: 2000},
		Nodes: []loadgen.NodeResult{
			{Name: "acme-1", CPU: []float64{-1, 0.5, 0.6}, Memory: []int64{1 << 20, 2 << 20, 3 << 20}, OnDisks: []int64{1, 2, 3}},
			{Name: "far-1", CPU: []float64{-1, -1, -1}, Memory: []int64{-1, -1, -1}, OnDisks: []int64{-1, -1, -1}},
		},
		Series: loadgen.Series{
			Committed: []uint64{10, 20, 30}, P50: []float64{1, 2, 3}, P99: []float64{2, 3, 4}, Samples: []float64{0, 1, 2},
			GeneratorCPU: []float64{-1, 0.1, 0.1}, Measured: [][2]float64{{1, 3}},
		},
	}
}

func TestTextSaysWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	Text(&out, example())
	for _, want := range []string{
		"INTERRUPTED", "WRONG: <script>", "committed\t5012 tx/s: 10025 in 2.0 s", "p50 212.2 ms", "p90 not known",
		"errors\t3: 1 BACKLOG, 2 OVERDRAFT", "sent again\t7: 7 FULL", "processor\tnot known per transaction", "memory\t300 MiB",
		"2000 tx/s whether or not earlier ones are answered",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, out.String())
		}
	}
}

func TestTextComparesTwoMeasurements(t *testing.T) {
	t.Parallel()
	first := loadgen.Phase{CommittedTPS: 1000, P50: known(100), P99: known(200), CPU: known(300), GeneratorCPU: known(1.5)}
	second := loadgen.Phase{CommittedTPS: 0.05, Errors: 2, ErrorsBy: map[string]uint64{"BACKLOG": 2}}
	r := example()
	r.Down = &loadgen.DownResult{
		Nodes: []string{"acme-1", "far-1"}, Healthy: first, Degraded: &second, ThroughputRatio: known(0.75), P99Ratio: known(2.5),
	}
	r.Overload = &loadgen.OverloadResult{
		Factor: 3, PeakTPS: 1000, Peak: first, Overloaded: &second, OfferedTPS: known(3000), SentTPS: known(1200), GoodputTPS: known(900),
		GoodputRatio: known(0.9), RefusedWithDelay: 12, RefusedWithoutDelay: 1,
	}
	var out bytes.Buffer
	Text(&out, r)
	for _, want := range []string{
		"healthy\t1000 tx/s, p50 100.0 ms, p99 200.0 ms, errors 0, 300.0 µs per transaction and node; the generator took 1.5 s",
		"without acme-1, far-1\t0.05 tx/s, p50 not known, p99 not known, errors 2: 2 BACKLOG, not known per transaction",
		"\tthroughput 0.75x, p50 not known, p99 2.50x",
		"overload\t3 times the peak: 3000 tx/s offered, 1200 tx/s sent, 900 tx/s committed, 0.90x of the peak",
		"refused\t12 with a retry delay, 1 without",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, out.String())
		}
	}
	r.Down.Degraded, r.Overload.Overloaded = nil, nil
	out.Reset()
	Text(&out, r)
	if strings.Count(out.String(), "not measured") != 2 {
		t.Errorf("what was not measured is not told:\n%s", out.String())
	}
}

func TestTextOfReads(t *testing.T) {
	t.Parallel()
	r := &loadgen.ReadingResult{
		ReadPhase: loadgen.ReadPhase{KeysPerSecond: 50_000, CallsPerSecond: 500, P50: known(2), Seconds: 3, CPU: known(1.25), GeneratorCPU: known(20)},
		Unchecked: &loadgen.ReadPhase{KeysPerSecond: 90_000, CallsPerSecond: 900, Seconds: 3}, Workload: "pages", Node: "acme-1", InFlight: 16,
		Faults: []string{"a lie"}, Nodes: []loadgen.NodeResult{{Name: "acme-1"}},
	}
	var out bytes.Buffer
	ReadingText(&out, r)
	for _, want := range []string{
		"WRONG: a lie", "load\tpages, from acme-1, 16 calls in flight", "checked keys\t50000/s in 500 calls/s, for 3.0 s",
		"unchecked keys\t90000/s", "processor\t1.25 µs per key in the node, 20.00 µs in the generator", "p50 2.00 ms, p90 not known",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, out.String())
		}
	}
	page, err := ReadingHTML(r)
	if err != nil || !bytes.Contains(page, []byte("50000 keys read per second")) || !bytes.Contains(page, []byte("a lie")) {
		t.Errorf("%v\n%s", err, page)
	}
}

func TestPageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	page, err := HTML(example())
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "http:", "https:", "src=", "href=", "url(", "NaN", "Inf", "ZgotmplZ"} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !bytes.Contains(page, []byte("&lt;script&gt;")) {
		t.Error("the page does not tell the fault")
	}
	if n := bytes.Count(page, []byte("<svg")); n != 5 {
		t.Errorf("the page has %d plots, want 5", n)
	}
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
	}
	if _, err := HTML(&loadgen.Result{}); err != nil {
		t.Errorf("a result without anything: %v", err)
	}
}

func TestNiceCeiling(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{0: 1, -3: 1, 0.7: 0.8, 1: 1, 3: 4, 5012: 8000, 9: 10, 1000: 1000} {
		if got := niceCeiling(v); got != want {
			t.Errorf("%v is rounded up to %v, want %v", v, got, want)
		}
	}
}
