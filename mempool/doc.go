// Package mempool keeps transactions between the moment a client hands them in and the block they stand in: it verifies
// them, holds them, offers them to other nodes, and gives them to whoever builds a block. It knows neither the state nor
// the consensus engine; what it must ask of them are functions in its [Config].
//
// A [Verifier] decodes transactions and checks signatures in batches on all cores, and remembers what it found. Verdicts
// are pure: the bytes and the limits decide, never the state. The state machine uses the same Verifier for proposals, so
// that every signature is verified once per node.
//
// A [Pool] holds what is pending. Arrivals only queue; one worker takes what is due, by fair share between clients, peers and
// organisations, verifies it in one batch, judges it against the newest state and inserts it. [Pool.Reap] fills a block by
// fair share between organisations, [Pool.Commit] forgets. [Pool.WantsBlock] tells consensus whether a block is worth
// making. When the state takes authority away, [Pool.Discard] and [Pool.Recheck] make the pool follow at once.
//
// A [Gossip] offers the transactions that this node's clients handed in to every peer, and queues what peers offer. Its
// pulses tell nodes of each other's clock, height and version.
//
// # Invariants
//
//   - Everything is bounded: both queues, the pool, in total and per organisation, each cache, every message. A client that
//     meets a bound gets a [FullError]; a peer's transaction is dropped and counted, because the peer offers it again.
//   - A verdict belongs to all bytes of a transaction and to the limits under which it was reached. Another signature under
//     the same id, or another charter, is verified anew.
//   - Nothing enters the pool that is not authorised by the state at that time, so nobody can occupy another's id.
//   - Whatever floods the queue or the pool, what another organisation hands in is verified in one of the next batches and
//     stands in one of the next blocks filled here.
//   - On a network where nothing happens the pool asks for a bounded number of empty blocks and then for none.
//   - No lock is held while the state is asked, a callback runs, or a peer is written to.
//
// # Goroutines
//
// Constructors start nothing. [Pool.Run] and [Gossip.Run] own all goroutines and belong to the parent's error group.
// Gossip.Run may be called again after it has returned, for a new mesh in the same process.
// Consensus calls [Pool.Reap] and [Pool.Commit] one at a time, from its goroutine. Everything else may be called from
// anywhere; [Gossip.Receive] never verifies, hashes or waits, because it runs where votes arrive.
//
// DESIGN.md, beside this file, has the arguments.
package mempool
