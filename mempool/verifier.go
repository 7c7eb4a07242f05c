package mempool

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/tx"
)

// Verdict is what the bytes of a transaction say about it, whatever the state. It is shared and read only.
type Verdict struct {
	// Tx is the decoded transaction. It is nil if and only if Err is not, whether the verdict is remembered or not. Its bytes
	// belong to the verifier.
	Tx *tx.Tx
	// Err is nil or a [*tx.Rejection].
	Err error
}

// VerifierConfig is what a [Verifier] needs.
type VerifierConfig struct {
	// ChainID is the network that transactions must be made for. Required.
	ChainID string
	// Validate checks the operations of a decoded transaction without looking at any state: the same transaction always
	// gets the same answer, nil or a [*tx.Rejection]. It is called from many goroutines at once. Nil: every operation
	// passes.
	Validate func(*tx.Tx) error
	// Workers is how many goroutines share one call of Verify. Default: one per core that Go uses.
	Workers int
	// CacheEntries and CacheBytes bound the verdicts that are remembered: their number, and about what they take in memory.
	// Three quarters of both belong to transactions that became pending, so that garbage displaces garbage. A simple
	// transaction takes 1.5 to 2 KiB. Defaults 200,000 and 256 MiB.
	CacheEntries int
	CacheBytes   int64
	// KeyCache is how many parsed public keys are remembered. Default 65,536, about 16 MiB.
	KeyCache int
	// KeyTables is how many ECDSA keys are remembered with a table, which a key gets with its second valid signature and which halves what
	// verifying its signatures costs. Default 16,384, about 38 MiB.
	KeyTables int
}

func (c VerifierConfig) withDefaults() VerifierConfig {
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.CacheEntries == 0 {
		c.CacheEntries = 200_000
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 256 << 20
	}
	if c.KeyCache == 0 {
		c.KeyCache = 65_536
	}
	if c.KeyTables == 0 {
		c.KeyTables = 16_384
	}
	return c
}

// othersShare is the part of the caches for verdicts on what is not pending.
const othersShare = 4

// Verifier decodes transactions and checks their signatures, each exactly once. It is safe for concurrent use.
type Verifier struct {
	cfg     VerifierConfig
	keys    keyCache
	batches sync.Pool // of *keys.Batch, which are worth reusing: each has a MiB of tables

	mu      sync.Mutex
	pending *verdictCache // on transactions that became pending, see promote
	others  *verdictCache // on all others: good ones that the state refuses or a block held first, and refusals
	flights map[verdictKey]*flight
	stats   VerifierStats
}

// VerifierStats counts what a [Verifier] has done since it was made.
type VerifierStats struct {
	// Verified counts transactions that were decoded and checked, Signatures their signatures.
	Verified, Signatures uint64
	// Remembered counts verdicts that were given from memory, Shared those that another caller was just reaching.
	Remembered, Shared uint64
	// Refused counts transactions that were decoded and checked in vain.
	Refused uint64
	// Batches counts the batches, Busy is how long all of them took, summed over goroutines.
	Batches uint64
	Busy    time.Duration
	// Entries and Bytes are what is remembered now, Bytes about what it takes in memory.
	Entries int
	Bytes   int64
}

// flight is a verdict that is being reached.
type flight struct {
	done    chan struct{} // closed when verdict is there, or will never be
	verdict Verdict       // written before done is closed
	reached bool          // as verdict; false if the goroutine that verified panicked
}

// job is one transaction that this call of Verify verifies.
type job struct {
	index  int // in the arguments of Verify
	key    verdictKey
	raw    []byte
	flight *flight
}

// NewVerifier returns a verifier that has seen nothing, or [ErrInvalidConfig].
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	cfg = cfg.withDefaults()
	if cfg.ChainID == "" {
		return nil, fmt.Errorf("%w: ChainID is missing", ErrInvalidConfig)
	}
	if cfg.Workers < 0 || cfg.CacheEntries < othersShare || cfg.CacheBytes < othersShare || cfg.KeyCache < 0 || cfg.KeyTables < 0 {
		return nil, fmt.Errorf("%w: Workers, CacheEntries, CacheBytes, KeyCache and KeyTables must be positive, the first two caches at least %d",
			ErrInvalidConfig, othersShare)
	}
	v := &Verifier{cfg: cfg, flights: map[verdictKey]*flight{}}
	v.batches.New = func() any { return keys.NewBatch(chunkMin) }
	var err error
	if v.keys, err = newKeyCache(cfg.KeyCache, cfg.KeyTables); err != nil {
		return nil, err
	}
	entries, size := cfg.CacheEntries/othersShare, cfg.CacheBytes/othersShare
	if v.pending, err = newVerdictCache(cfg.CacheEntries-entries, cfg.CacheBytes-size); err != nil {
		return nil, fmt.Errorf("make the cache of verdicts on what is pending: %w", err)
	}
	if v.others, err = newVerdictCache(entries, size); err != nil {
		return nil, fmt.Errorf("make the cache of other verdicts: %w", err)
	}
	return v, nil
}

// Verify returns the verdict on each of raws, in their order. What is remembered under the same limits is not verified
// again, and what another goroutine is verifying right now is waited for. The slices are copied before they are
// kept, so they stay the caller's.
func (v *Verifier) Verify(raws [][]byte, limits tx.Limits) []Verdict {
	hashes := make([][32]byte, len(raws))
	inChunks(len(raws), v.cfg.Workers, 512, 4096, func(from, to int) {
		for i := from; i < to; i++ {
			hashes[i] = sha256.Sum256(raws[i])
		}
	})
	verdicts := make([]Verdict, len(raws))
	own, foreign := v.claim(raws, hashes, limits, verdicts)
	v.verify(own)
	for _, j := range own {
		verdicts[j.index] = j.flight.verdict
	}
	// Only now wait for others: whoever waits has nothing left that others could be waiting for.
	for _, j := range foreign {
		<-j.flight.done
		if j.flight.reached {
			verdicts[j.index] = j.flight.verdict
		} else {
			verdicts[j.index] = v.Verify([][]byte{j.raw}, limits)[0]
		}
	}
	return verdicts
}

// Stats returns what the verifier has done so far.
func (v *Verifier) Stats() VerifierStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.stats
	s.Entries = v.pending.lru.Len() + v.others.lru.Len()
	s.Bytes = v.pending.bytes + v.others.bytes
	return s
}

// promote tells that transactions became pending: they will be asked for again. Until then a verdict, good or not, may be
// displaced by whoever invents transactions.
func (v *Verifier) promote(txs []*tx.Tx, limits tx.Limits) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range txs {
		key := verdictKey{t.Hash, limits}
		v.others.remove(key)
		v.pending.add(key, Verdict{Tx: t})
	}
}

// forget drops the verdicts on pending transactions that a block has decided: nobody but a sender who repeats himself will ask
// again, and decoded transactions are most of what a busy node keeps in memory.
func (v *Verifier) forget(txs []*tx.Tx, limits tx.Limits) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range txs {
		v.pending.remove(verdictKey{t.Hash, limits})
	}
}

// claim fills in the verdicts that are remembered, and divides the rest into those that are now ours to verify and those
// that are already under way, here or elsewhere.
func (v *Verifier) claim(raws [][]byte, hashes [][32]byte, limits tx.Limits, verdicts []Verdict) (own, foreign []job) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, raw := range raws {
		j := job{index: i, key: verdictKey{hashes[i], limits}, raw: raw}
		if known, ok := v.pending.get(j.key); ok {
			verdicts[i] = known
			v.stats.Remembered++
			continue
		}
		if known, ok := v.others.get(j.key); ok {
			verdicts[i] = known
			v.stats.Remembered++
			continue
		}
		if under, ok := v.flights[j.key]; ok {
			j.flight = under
			foreign = append(foreign, j)
			v.stats.Shared++
			continue
		}
		j.flight = &flight{done: make(chan struct{})}
		v.flights[j.key] = j.flight
		own = append(own, j)
	}
	return own, foreign
}

// verify reaches and publishes the verdicts on jobs. If it panics, nobody is left waiting.
func (v *Verifier) verify(jobs []job) {
	if len(jobs) == 0 {
		return
	}
	defer v.release(jobs)
	inChunks(len(jobs), v.cfg.Workers, chunkMin, chunkMax, func(from, to int) {
		begin := time.Now()
		signatures := v.judge(jobs[from:to])
		v.publish(jobs[from:to], signatures, time.Since(begin))
	})
}

// publish remembers verdicts and hands them to those who wait.
func (v *Verifier) publish(jobs []job, signatures int, took time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, j := range jobs {
		verdict := j.flight.verdict
		if _, pure := tx.CodeOf(verdict.Err); pure {
			v.others.add(j.key, verdict)
		}
		if verdict.Err != nil {
			v.stats.Refused++
		}
		j.flight.reached = true
		delete(v.flights, j.key)
		close(j.flight.done)
	}
	v.stats.Verified += uint64(len(jobs))
	v.stats.Signatures += uint64(signatures)
	v.stats.Batches++
	v.stats.Busy += took
}

// release gives up the jobs that have no verdict: a panic is on its way through.
func (v *Verifier) release(jobs []job) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, j := range jobs {
		if !j.flight.reached {
			delete(v.flights, j.key)
			close(j.flight.done)
		}
	}
}
