// Package loadgen puts a network under load and says truthfully what became of it. It is what `althing bench` runs.
//
// Two things are told apart, so that networks of another kind can be measured by the same generator:
//
//   - a [Target] is where transactions go: nodes that take them, answer, tell which blocks there are, and are processes
//     whose use of the machine can be looked at;
//   - a [Workload] is which transactions go there: it makes them, signs them if they are to be signed, and knows nothing of
//     when and to which connection they go.
//
// [Run] brings the two together: it prepares, signs ahead, ramps up, warms up, measures, waits until nothing is under way, and
// then compares what the nodes acknowledged with what stands in the blocks of one of them, and the app hashes of all. Where two
// states of the network are compared, a second stretch of load follows the first before that. [RunReading] only reads.
//
// Invariants:
//
//   - A transaction counts as committed when it was found in a block with code 0, and in no other case.
//   - Latency runs from the time at which a transaction was due, not from when the generator came round to it.
//   - Whatever waits is bounded: the transactions under way, those that are due and not sent, those signed ahead, those not
//     compared with blocks yet. What exceeds a bound is counted, never dropped in silence.
//   - Every phase has a deadline, and an interrupted run still tells what it has measured, marked as interrupted.
//   - What could not be measured is absent from the [Result], never invented.
//
// What is sent by which goroutine: each [Stream] has one goroutine that sends and one that receives; a pacer decides when
// transactions are due; workers sign. DESIGN.md beside this file argues the choices.
package loadgen
