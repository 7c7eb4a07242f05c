package loadgen

import (
	"encoding/hex"
	"slices"
	"time"
)

// millis returns a duration in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile returns a percentile in milliseconds, nil where nothing was recorded.
func quantile(h *Histogram, q float64) *float64 {
	if h.Count() == 0 {
		return nil
	}
	ms := millis(h.Quantile(q))
	return &ms
}

// ratio returns a/b, nil where one of them is not known.
func ratio(a, b *float64) *float64 {
	if a == nil || b == nil || *b == 0 {
		return nil
	}
	q := *a / *b
	return &q
}

// result puts together what was found out. Nothing runs any more.
func (r *run) result() *Result {
	w := r.windows[0]
	t := r.measured.tallies[0]
	quiet := phase(t, w)
	res := &Result{
		CommittedTPS: quiet.CommittedTPS, P50: quiet.P50, P99: quiet.P99,
		P90: quantile(&t.latency, 0.9), P999: quantile(&t.latency, 0.999),
		Errors: quiet.Errors, ErrorsBy: quiet.ErrorsBy, Busy: r.measured.busy,
		Interrupted: r.interrupted, Faults: append([]string{}, slices.Concat(r.disagree, r.ledger.faults, r.lacking, r.away)...),
		Unreachable: append([]string{}, r.unreachable...),
		Began:       r.zero.UTC(), Seconds: w.seconds(), Due: t.due, Committed: t.checked,
		Total: r.measured.committed + r.flood.committed,
		Load: LoadResult{
			Workload: r.workload.Describe(), Senders: r.workload.Senders(), Rate: r.Rate,
			Ramp: r.Ramp.Seconds(), Warmup: r.Warmup.Seconds(), For: r.For.Seconds(),
		},
		Machine: thisMachine(), Chain: r.chain(), Series: series(r.zero, r.measured, r.sampler, r.windows),
	}
	if t.latency.Count() > 0 {
		longest := millis(t.latency.Max())
		res.Max = &longest
	}
	if r.Rate == 0 {
		res.Load.InFlight = r.InFlight
	}
	res.Generator = Generator{
		CPU: (w.last.own - w.first.own).Seconds(), Ahead: r.signedAhead, SignedInRun: r.signedInRun, SignSeconds: r.signing.Seconds(),
		Reconnects: r.measured.reconnects + r.flood.reconnects, Resent: r.measured.resent + r.flood.resent,
		FoundLater: r.ledger.found,
	}
	r.use(res)
	switch {
	case r.Flood != nil:
		res.Flood = r.floodResult(quiet)
	case r.Down != nil:
		res.Down = r.downResult()
	case r.Overload > 0:
		res.Overload = r.overloadResult()
	}
	if r.Reads > 0 {
		res.Reads = r.reads.result(r.Reads)
	}
	if len(r.Watches) > 0 {
		res.Watches = r.watches.result()
	}
	return res
}

func phase(t *tally, w *window) Phase {
	p := Phase{
		P50: quantile(&t.latency, 0.5), P99: quantile(&t.latency, 0.99),
		Due: t.due, Committed: t.checked, ErrorsBy: t.errors,
	}
	if length := w.seconds(); length > 0 {
		p.CommittedTPS = float64(t.checked) / length
	}
	for _, n := range t.errors {
		p.Errors += n
	}
	return p
}

// cpu returns the processor time that a node took in the window, negative where it is not known.
func (w *window) cpu(node int) time.Duration {
	if begin, end := w.first.nodes[node].CPU, w.last.nodes[node].CPU; begin >= 0 && end >= begin {
		return end - begin
	}
	return -1
}

// perTx returns the processor time in microseconds for each of so many transactions and node that counts, nil where it is not known.
func (w *window) perTx(committed uint64, counts func(node int) bool) *float64 {
	sum, nodes := time.Duration(0), 0
	for i := range w.first.nodes {
		if !counts(i) {
			continue
		}
		took := w.cpu(i)
		if took < 0 {
			return nil
		}
		sum, nodes = sum+took, nodes+1
	}
	if committed == 0 || nodes == 0 {
		return nil
	}
	micros := float64(sum.Nanoseconds()) / 1e3 / float64(committed) / float64(nodes)
	return &micros
}

func (r *run) floodResult(quiet Phase) *FloodResult {
	f := &FloodResult{
		Org: r.Flood.Org, Rate: r.Flood.Rate, Quiet: quiet,
		Flooded: phase(r.measured.tallies[1], r.windows[1]), Flooder: phase(r.flood.tallies[1], r.windows[1]),
	}
	f.P50Ratio, f.P99Ratio = ratio(f.Flooded.P50, f.Quiet.P50), ratio(f.Flooded.P99, f.Quiet.P99)
	return f
}

// use says what the nodes used of the machine.
func (r *run) use(res *Result) {
	var growth float64
	knownDisk := true
	for i := range r.target.Nodes() {
		of := r.sampler.node(i, r.windows[0])
		if b, e := r.before.nodes[i].Disk, r.after.nodes[i].Disk; b >= 0 && e >= 0 {
			grown := e - b
			of.DiskGrowth = &grown
			growth += float64(grown)
		} else {
			knownDisk = false
		}
		if of.RSS != nil && (res.RSS == nil || *of.RSS > *res.RSS) {
			res.RSS = of.RSS
		}
		res.Nodes = append(res.Nodes, of)
	}
	res.CPU = r.windows[0].perTx(res.Committed, func(int) bool { return true })
	if knownDisk && res.Total > 0 {
		each := growth / float64(res.Total) / float64(len(res.Nodes))
		res.Disk = &each
	}
}

// node says what a node used over all samples, and in a window.
func (s *sampler) node(i int, w *window) NodeResult {
	of := NodeResult{Name: s.nodes[i].Name}
	if took := w.cpu(i); took >= 0 {
		seconds := took.Seconds()
		of.CPUSeconds = &seconds
	}
	var before sample
	for _, at := range s.samples {
		u := at.nodes[i]
		cores := -1.0
		if before.nodes != nil && u.CPU >= 0 && before.nodes[i].CPU >= 0 {
			cores = (u.CPU - before.nodes[i].CPU).Seconds() / at.at.Sub(before.at).Seconds()
		}
		before = at
		of.CPU, of.Memory, of.OnDisks = append(of.CPU, cores), append(of.Memory, u.RSS), append(of.OnDisks, u.Disk)
		if u.RSS >= 0 && (of.RSS == nil || u.RSS > *of.RSS) {
			rss := u.RSS
			of.RSS = &rss
		}
	}
	return of
}

func (r *run) chain() Chain {
	b := r.ledger.blocks
	c := Chain{
		From: b.firstHeight, To: b.height, AppHash: hex.EncodeToString(r.appHash), AgreedAt: r.agreedAt, Agreed: r.agreed,
		Blocks: b.count, NonEmpty: b.nonEmpty, Txs: b.txs, Foreign: b.foreign, MaxTxs: b.maxTxs,
	}
	if b.nonEmpty > 0 {
		c.TxsPerBlock = float64(b.txs) / float64(b.nonEmpty)
	}
	if b.txs > 0 {
		c.BytesPerTx = float64(b.bytes) / float64(b.txs)
	}
	if lasted := (b.lastTx.Sub(b.firstTx) - b.paused).Seconds(); b.nonEmpty > 2 && lasted > 0 {
		c.BlocksPerSec = float64(b.nonEmpty-2) / lasted
	}
	c.LongestGap = millis(b.gap)
	return c
}

// series puts together what happened over time, from zero on.
func series(zero time.Time, record *recorder, sampled *sampler, windows []*window) Series {
	var s Series
	for _, at := range record.series() {
		s.Committed = append(s.Committed, at.committed)
		s.P50, s.P99 = append(s.P50, millis(at.p50)), append(s.P99, millis(at.p99))
	}
	var before sample
	for _, at := range sampled.samples {
		s.Samples = append(s.Samples, at.at.Sub(zero).Seconds())
		own := -1.0
		if before.nodes != nil {
			own = (at.own - before.own).Seconds() / at.at.Sub(before.at).Seconds()
		}
		before = at
		s.GeneratorCPU = append(s.GeneratorCPU, own)
	}
	for _, w := range windows {
		s.Measured = append(s.Measured, [2]float64{w.begin.Sub(zero).Seconds(), w.end.Sub(zero).Seconds()})
	}
	return s
}
