package loadgen

import "time"

// Result is what a run has found out. Numbers that are not known are nil, never zero.
type Result struct {
	// CommittedTPS is how many transactions per second of the measured time were committed with code 0 and found in blocks.
	CommittedTPS float64 `json:"committed_tps"`
	// P50, P99 and the others are of the latency of committed transactions, from when they were due to their answer. Of a run that
	// measures twice, all of these are of the first time: before the flood, with all nodes, of the closed loop.
	P50  *float64 `json:"p50_ms"`
	P90  *float64 `json:"p90_ms"`
	P99  *float64 `json:"p99_ms"`
	P999 *float64 `json:"p999_ms"`
	Max  *float64 `json:"max_ms"`
	// CPU is the processor time of the nodes, the generator's not among it, per committed transaction and node, in microseconds.
	CPU *float64 `json:"cpu_us_per_tx_per_node"`
	// RSS is the most resident memory that a node had.
	RSS *int64 `json:"rss_bytes_max"`
	// Disk is what the files of a node have grown per committed transaction, from before the load to after it.
	Disk *float64 `json:"disk_bytes_per_tx"`
	// Errors is how many transactions that were due in the measured time are not committed with code 0, and ErrorsBy why not.
	Errors   uint64            `json:"errors"`
	ErrorsBy map[string]uint64 `json:"errors_by"`
	// Busy is how many refusals made the generator wait for as long as the node asked and send again, by reason.
	Busy map[string]uint64 `json:"busy"`

	// Interrupted says that the run was ended before its time, Faults what is wrong with the network: nodes that disagree,
	// transactions that were acknowledged and are in no block, nodes that could not be compared in the end. Unreachable names the
	// last ones.
	Interrupted bool     `json:"interrupted"`
	Faults      []string `json:"faults"`
	Unreachable []string `json:"unreachable"`

	// Began is when the load began, Seconds how long was measured, Due and Committed how many transactions were due and
	// committed in that time.
	Began     time.Time `json:"began"`
	Seconds   float64   `json:"measured_seconds"`
	Due       uint64    `json:"due"`
	Committed uint64    `json:"committed"`
	// Total is how many were committed from the first to the last.
	Total uint64 `json:"committed_total"`

	Flood     *FloodResult    `json:"flood,omitempty"`
	Down      *DownResult     `json:"down,omitempty"`
	Overload  *OverloadResult `json:"overload,omitempty"`
	Load      LoadResult      `json:"load"`
	Generator Generator       `json:"generator"`
	Machine   Machine         `json:"machine"`
	Chain     Chain           `json:"chain"`
	Reads     *ReadResult     `json:"reads,omitempty"`
	Watches   *WatchResult    `json:"watches,omitempty"`
	Nodes     []NodeResult    `json:"nodes"`
	// Series is what happened in each second from Began on.
	Series Series `json:"series"`
}

// LoadResult says what the load was.
type LoadResult struct {
	Workload string  `json:"workload"`
	Senders  int     `json:"senders"`
	Rate     float64 `json:"rate"`      // 0 for a closed loop
	InFlight int     `json:"in_flight"` // per node; 0 for a rate
	Ramp     float64 `json:"ramp_seconds"`
	Warmup   float64 `json:"warmup_seconds"`
	For      float64 `json:"for_seconds"`
}

// FloodResult compares the time without a flood with that under it, for those who did not flood.
type FloodResult struct {
	Org  string  `json:"org"`
	Rate float64 `json:"rate"`
	// Quiet and Flooded are of the others, Flooder of who floods.
	Quiet    Phase    `json:"quiet"`
	Flooded  Phase    `json:"flooded"`
	Flooder  Phase    `json:"flooder"`
	P50Ratio *float64 `json:"p50_ratio"`
	P99Ratio *float64 `json:"p99_ratio"`
}

// DownResult compares the network with all of its nodes to that without some.
type DownResult struct {
	// Nodes are those that were stopped.
	Nodes []string `json:"nodes"`
	// Healthy is with all nodes, Degraded without those; nil if it was not measured because the run was interrupted before.
	Healthy  Phase  `json:"healthy"`
	Degraded *Phase `json:"degraded"`
	// ThroughputRatio, P50Ratio and P99Ratio are the second divided by the first.
	ThroughputRatio *float64 `json:"throughput_ratio"`
	P50Ratio        *float64 `json:"p50_ratio"`
	P99Ratio        *float64 `json:"p99_ratio"`
}

// OverloadResult compares what is committed when more is offered than the network can commit to what it commits at its best.
type OverloadResult struct {
	Factor float64 `json:"factor"`
	// PeakTPS is what the closed loop found. The others are per second under overload: OfferedTPS is what fell due, SentTPS what of
	// that was sent to a node, once or more often, GoodputTPS what was committed. They are nil if it was not measured.
	PeakTPS    float64  `json:"peak_tps"`
	OfferedTPS *float64 `json:"offered_tps"`
	SentTPS    *float64 `json:"sent_tps"`
	GoodputTPS *float64 `json:"goodput_tps"`
	// GoodputRatio is the goodput divided by the peak.
	GoodputRatio *float64 `json:"goodput_ratio"`
	// RefusedWithDelay is how many refusals said when to come again, RefusedWithoutDelay how many did not. One transaction may be
	// refused several times.
	RefusedWithDelay    uint64 `json:"refused_with_delay"`
	RefusedWithoutDelay uint64 `json:"refused_without_delay"`
	Peak                Phase  `json:"peak"`
	Overloaded          *Phase `json:"overloaded"`
}

// Phase is what happened to some senders in some time.
type Phase struct {
	CommittedTPS float64           `json:"committed_tps"`
	P50          *float64          `json:"p50_ms"`
	P99          *float64          `json:"p99_ms"`
	Due          uint64            `json:"due"`
	Committed    uint64            `json:"committed"`
	Errors       uint64            `json:"errors"`
	ErrorsBy     map[string]uint64 `json:"errors_by"`
	// CPU is the processor time of the nodes that ran per committed transaction and node, in microseconds, GeneratorCPU that of the
	// generator in seconds. Both are absent where other senders were at it too.
	CPU          *float64 `json:"cpu_us_per_tx_per_node,omitempty"`
	GeneratorCPU *float64 `json:"generator_cpu_seconds,omitempty"`
}

// Generator is what the generator itself did.
type Generator struct {
	// CPU is its processor time in the measured time, in seconds.
	CPU float64 `json:"cpu_seconds"`
	// Ahead is how many transactions were signed before the load began, SignedInRun how many while it ran, because there were not
	// enough: those cost processor time that nodes on the same machine did not have.
	Ahead       int     `json:"signed_ahead"`
	SignedInRun uint64  `json:"signed_in_run"`
	SignSeconds float64 `json:"sign_seconds"`
	Reconnects  uint64  `json:"reconnects"`
	Resent      uint64  `json:"resent"`
	// FoundLater is how many stand in blocks although no node has answered for them.
	FoundLater uint64 `json:"found_later"`
}

// Machine is where the generator ran.
type Machine struct {
	Cores    int    `json:"cores"`
	CPUModel string `json:"cpu_model"`
	Memory   int64  `json:"memory_bytes"` // 0: not known
	OS       string `json:"os"`
	Go       string `json:"go"`
}

// Chain is what the blocks of one node say.
type Chain struct {
	// From and To are the heights that were read.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// AppHash is that of all nodes that could be asked, which are Agreed, after the block AgreedAt; empty where they differ.
	AppHash  string `json:"app_hash"`
	AgreedAt uint64 `json:"agreed_at"`
	Agreed   int    `json:"agreed"`
	Blocks   int    `json:"blocks"`
	NonEmpty int    `json:"non_empty_blocks"`
	Txs      uint64 `json:"txs"`
	// Foreign is how many of them nobody had an answer for: others' transactions.
	Foreign      uint64  `json:"foreign_txs"`
	TxsPerBlock  float64 `json:"txs_per_block"` // of those that are not empty
	MaxTxs       int     `json:"max_txs_per_block"`
	BytesPerTx   float64 `json:"bytes_per_tx"`
	BlocksPerSec float64 `json:"blocks_per_second"` // of those that are not empty
	LongestGap   float64 `json:"longest_gap_ms"`    // between two of those
}

// ReadResult is about the verified reads.
type ReadResult struct {
	Rate   float64           `json:"rate"`
	PerSec float64           `json:"per_second"`
	P50    *float64          `json:"p50_ms"`
	P99    *float64          `json:"p99_ms"`
	Errors map[string]uint64 `json:"errors"`
}

// WatchResult is about the watchers.
type WatchResult struct {
	Watchers int    `json:"watchers"`
	Blocks   uint64 `json:"blocks"` // that all were told of together
	// Behind is how far the slowest was behind the last block with a transaction when the load had ended.
	Behind uint64   `json:"behind"`
	Errors []string `json:"errors"`
}

// NodeResult is about one node.
type NodeResult struct {
	Name string `json:"name"`
	// Of the measured time.
	CPUSeconds *float64 `json:"cpu_seconds"`
	RSS        *int64   `json:"rss_bytes_max"`
	// DiskGrowth is from before the load to after it.
	DiskGrowth *int64 `json:"disk_bytes_growth"`
	// CPU in cores, RSS and Disk in bytes at each of Series.Samples; negative where not known.
	CPU     []float64 `json:"cpu_series"`
	Memory  []int64   `json:"rss_series"`
	OnDisks []int64   `json:"disk_series"`
}

// Series is what happened over time, in seconds from the beginning of the load.
type Series struct {
	// Committed, P50 and P99 are of each second: answers that came in it.
	Committed []uint64  `json:"committed"`
	P50       []float64 `json:"p50_ms"`
	P99       []float64 `json:"p99_ms"`
	// Samples is when nodes were looked at.
	Samples []float64 `json:"samples"`
	// GeneratorCPU is in cores, at each of Samples.
	GeneratorCPU []float64 `json:"generator_cpu"`
	// Measured are the beginning and the end of the measured time; of a run with a flood, of the quiet and the flooded one.
	Measured [][2]float64 `json:"measured"`
}
