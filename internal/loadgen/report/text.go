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
	line("committed", "%s: %d in %.1f s, each found in a block", tps(r.CommittedTPS), r.Committed, r.Seconds)
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
		line("flood", "%s with %s, of which %s were committed", f.Org, tps(f.Rate), tps(f.Flooder.CommittedTPS))
		line("the others", "quiet p50 %s p99 %s; flooded p50 %s p99 %s: %s and %s", ms(f.Quiet.P50), ms(f.Quiet.P99),
			ms(f.Flooded.P50), ms(f.Flooded.P99), unit(f.P50Ratio, "%.2fx"), unit(f.P99Ratio, "%.2fx"))
		line("", "errors quiet %s; flooded %s", reasons(f.Quiet.Errors, f.Quiet.ErrorsBy), reasons(f.Flooded.Errors, f.Flooded.ErrorsBy))
	}
	if d := r.Down; d != nil {
		writeDown(line, d)
	}
	if o := r.Overload; o != nil {
		writeOverload(line, o)
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
		line("agreed", "%d of %d nodes on app hash %.16s after block %d", r.Chain.Agreed, len(r.Nodes), r.Chain.AppHash, r.Chain.AgreedAt)
	}
}

// ReadingText writes what was read for people. Columns are separated by tabs.
func ReadingText(w io.Writer, r *loadgen.ReadingResult) {
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	if r.Interrupted {
		fmt.Fprint(w, "INTERRUPTED: these figures are of what was measured until then.\n")
	}
	for _, fault := range r.Faults {
		fmt.Fprintf(w, "WRONG: %s\n", fault)
	}
	line("load", "%s, from %s, %d calls in flight", r.Workload, r.Node, r.InFlight)
	line("machine", "%d cores, %s, %s", r.Machine.Cores, r.Machine.CPUModel, r.Machine.Go)
	if r.Unchecked == nil {
		writeRead(line, "", &r.ReadPhase)
		return
	}
	writeRead(line, "checked ", &r.ReadPhase)
	writeRead(line, "unchecked ", r.Unchecked)
}

func writeRead(line func(name, format string, args ...any), name string, p *loadgen.ReadPhase) {
	line(name+"keys", "%s/s in %s calls/s, for %.1f s", digits(p.KeysPerSecond), digits(p.CallsPerSecond), p.Seconds)
	line("latency", "p50 %s, p90 %s, p99 %s", unit(p.P50, "%.2f ms"), unit(p.P90, "%.2f ms"), unit(p.P99, "%.2f ms"))
	line("errors", "%s", reasons(p.Errors, p.ErrorsBy))
	line("processor", "%s per key in the node, %s in the generator", unit(p.CPU, "%.2f µs"), unit(p.GeneratorCPU, "%.2f µs"))
}

// writeDown writes how the network does without some nodes.
func writeDown(line func(name, format string, args ...any), d *loadgen.DownResult) {
	who := strings.Join(d.Nodes, ", ")
	line("healthy", "%s", inPhase(&d.Healthy))
	if d.Degraded == nil {
		line("without "+who, "not measured")
		return
	}
	line("without "+who, "%s", inPhase(d.Degraded))
	line("", "throughput %s, p50 %s, p99 %s", unit(d.ThroughputRatio, "%.2fx"), unit(d.P50Ratio, "%.2fx"), unit(d.P99Ratio, "%.2fx"))
}

// writeOverload writes how the network does when it is offered more than it can commit.
func writeOverload(line func(name, format string, args ...any), o *loadgen.OverloadResult) {
	line("peak", "%s", inPhase(&o.Peak))
	if o.Overloaded == nil {
		line("overload", "not measured")
		return
	}
	line("overload", "%g times the peak: %s offered, %s sent, %s committed, %s of the peak", o.Factor,
		knownTPS(o.OfferedTPS), knownTPS(o.SentTPS), knownTPS(o.GoodputTPS), unit(o.GoodputRatio, "%.2fx"))
	line("", "%s", inPhase(o.Overloaded))
	line("refused", "%d with a retry delay, %d without", o.RefusedWithDelay, o.RefusedWithoutDelay)
}

// inPhase writes what happened in one of two measurements.
func inPhase(p *loadgen.Phase) string {
	return fmt.Sprintf("%s, p50 %s, p99 %s, errors %s, %s per transaction and node; the generator took %s",
		tps(p.CommittedTPS), ms(p.P50), ms(p.P99), reasons(p.Errors, p.ErrorsBy), unit(p.CPU, "%.1f µs"), unit(p.GeneratorCPU, "%.1f s"))
}

// tps writes transactions per second, with as many digits as tell something.
func tps(v float64) string { return digits(v) + " tx/s" }

func digits(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func knownTPS(v *float64) string {
	if v == nil {
		return "not known"
	}
	return tps(*v)
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
