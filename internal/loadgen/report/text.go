package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/althing-ledger/althing/internal/loadgen"
)

// Text writes a result for people. Columns are separated by tabs.
func Text(w io.Writer, r *loadgen.Result) {
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	if r.Interrupted {
		fmt.Fprint(w, "INTERRUPTED: these figures are of what was measured until then.\n")
	}
	for _, fault := range r.Faults {
		fmt.Fprintf(w, "WRONG: %s\n", fault)
	}
	line("load", "%s, %d senders, %s", r.Load.Workload, r.Load.Senders, loadOf(r.Load))
	line("machine", "%d cores, %s, %s", r.Machine.Cores, r.Machine.CPUModel, r.Machine.Go)
	line("committed", "%.0f tx/s: %d in %.1f s, each found in a block", r.CommittedTPS, r.Committed, r.Seconds)
	line("latency", "p50 %s, p90 %s, p99 %s, p99.9 %s, longest %s", ms(r.P50), ms(r.P90), ms(r.P99), ms(r.P999), ms(r.Max))
	line("errors", "%s", reasons(r.Errors, r.ErrorsBy))
	if len(r.Busy) > 0 {
		var sum uint64
		for _, n := range r.Busy {
			sum += n
		}
		line("sent again", "%s", reasons(sum, r.Busy))
	}
	line("processor", "%s per transaction and node; the generator took %.1f s", unit(r.CPU, "%.1f µs"), r.Generator.CPU)
	line("memory", "%s at most in a node", mebibytes(r.RSS))
	line("disk", "%s per transaction", unit(r.Disk, "%.0f bytes"))
	line("blocks", "%d with %.0f transactions of %.0f bytes on average, %.1f per second, longest gap %.0f ms",
		r.Chain.NonEmpty, r.Chain.TxsPerBlock, r.Chain.BytesPerTx, r.Chain.BlocksPerSec, r.Chain.LongestGap)
	signing := fmt.Sprintf("%d before the load", r.Generator.Ahead)
	if r.Generator.SignedInRun > 0 {
		signing += fmt.Sprintf(", %d while it ran, on the same processors", r.Generator.SignedInRun)
	}
	line("signed", "%s", signing)
	if r.Generator.Reconnects > 0 {
		line("connections", "made again %d times, %d transactions sent again", r.Generator.Reconnects, r.Generator.Resent)
	}
	if f := r.Flood; f != nil {
		line("flood", "%s with %.0f tx/s, of which %.0f were committed", f.Org, f.Rate, f.Flooder.CommittedTPS)
		line("the others", "quiet p50 %s p99 %s; flooded p50 %s p99 %s: %s and %s", ms(f.Quiet.P50), ms(f.Quiet.P99),
			ms(f.Flooded.P50), ms(f.Flooded.P99), unit(f.P50Ratio, "%.2fx"), unit(f.P99Ratio, "%.2fx"))
		line("", "errors quiet %s; flooded %s", reasons(f.Quiet.Errors, f.Quiet.ErrorsBy), reasons(f.Flooded.Errors, f.Flooded.ErrorsBy))
	}
	if v := r.Reads; v != nil {
		var failed uint64
		for _, n := range v.Errors {
			failed += n
		}
		line("verified reads", "%.0f per second, p50 %s, p99 %s, errors %s", v.PerSec, ms(v.P50), ms(v.P99), reasons(failed, v.Errors))
	}
	if v := r.Watches; v != nil {
		line("watchers", "%d, told of %d blocks together, the slowest %d behind in the end; %d ended", v.Watchers, v.Blocks, v.Behind, len(v.Errors))
	}
	if r.Chain.AppHash != "" {
		line("agreed", "%d nodes on app hash %.16s after block %d", len(r.Nodes), r.Chain.AppHash, r.Chain.AgreedAt)
	}
}

func loadOf(l loadgen.LoadResult) string {
	if l.Rate > 0 {
		return fmt.Sprintf("%g tx/s whether or not earlier ones are answered", l.Rate)
	}
	return fmt.Sprintf("%d in flight per node", l.InFlight)
}

func ms(v *float64) string { return unit(v, "%.1f ms") }

// unit formats a number that may not be known.
func unit(v *float64, format string) string {
	if v == nil {
		return "not known"
	}
	return fmt.Sprintf(format, *v)
}

func mebibytes(v *int64) string {
	if v == nil {
		return "not known"
	}
	return fmt.Sprintf("%.0f MiB", float64(*v)/(1<<20))
}

// reasons writes a number and what it consists of.
func reasons(sum uint64, by map[string]uint64) string {
	text := fmt.Sprint(sum)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%d %s", by[name], name))
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}
