package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	ics23 "github.com/cosmos/ics23/go"
	"pgregory.net/rapid"

	"github.com/althing-ledger/althing/state/keyspace"
)

// checkProof checks a proof with plain ics23, against a root and a model of the state: an entry for each of the keys, which
// are distinct and ascending, and none besides.
func checkProof(encoded []byte, keys [][]byte, root []byte, want model) error {
	proof := new(ics23.CommitmentProof)
	if err := proof.Unmarshal(encoded); err != nil {
		return err
	}
	if again, err := proof.Marshal(); err != nil || !bytes.Equal(again, encoded) {
		return fmt.Errorf("the encoding is not canonical: %w", err)
	}
	entries := ics23.Decompress(proof).GetBatch().GetEntries()
	if proof.GetCompressed() == nil || len(entries) != len(keys) {
		return fmt.Errorf("%d entries for %d keys", len(entries), len(keys))
	}
	for i, key := range keys {
		var err error
		value, exists := want[string(key)]
		if exists {
			err = entries[i].GetExist().Verify(ics23.IavlSpec, root, key, []byte(value))
		} else {
			err = entries[i].GetNonexist().Verify(ics23.IavlSpec, root, key)
		}
		if err != nil {
			return fmt.Errorf("key %q, exists %v: %w", key, exists, err)
		}
	}
	return nil
}

// checkIAVL compares a proof with what iavl makes of the same keys.
func checkIAVL(v *View, encoded []byte, keys [][]byte) error {
	snap := v.past
	if snap == nil {
		snap = &pastState{snap: v.latest.snap}
	}
	tree, err := pastTree(&treeDB{r: snap.snap}, v.height, v.store.log)
	if err != nil {
		return err
	}
	proofs := make([]*ics23.CommitmentProof, len(keys))
	for i, key := range keys {
		if proofs[i], err = tree.GetProof(key); err != nil {
			return err
		}
	}
	combined, err := ics23.CombineProofs(proofs)
	if err != nil {
		return err
	}
	want, err := combined.Marshal()
	if err != nil {
		return err
	}
	if !bytes.Equal(encoded, want) {
		return errors.New("iavl makes another proof")
	}
	return nil
}

// questions returns keys that are there and keys that are not: random ones, the ends, and both sides of some that are.
func questions(draw func(n int) int, m model) [][]byte {
	keys := [][]byte{[]byte("\x00"), []byte("zzz"), fmt.Appendf(nil, "b%04d", draw(300))}
	if present := slices.Sorted(maps.Keys(m)); len(present) > 0 {
		for range 1 + draw(5) {
			key := []byte(present[draw(len(present))])
			keys = append(keys, key, append(bytes.Clone(key), 0), key[:len(key)-1])
		}
		keys = append(keys, []byte(present[0]), []byte(present[len(present)-1]))
	}
	keys = slices.DeleteFunc(keys, func(key []byte) bool { return len(key) == 0 })
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal)
}

// TestProofs proves keys of every height of random states, and compares with plain ics23, with the model and with iavl.
func TestProofs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig(t.TempDir())
		cfg.CacheBytes = 1 << 20
		s := mustOpen(rt, cfg)
		defer mustClose(rt, s)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		size := rapid.SampledFrom([]int{1, 3, 30, 300}).Draw(rt, "keys")
		blocks := rapid.IntRange(1, 20).Draw(rt, "blocks")
		models := make([]model, blocks+1)
		for height := 1; height <= blocks; height++ {
			block := randomBlock(r, size)
			models[height] = models[height-1].apply(block)
			commit(rt, s, block)
		}
		for height := 1; height <= blocks; height++ {
			v, err := s.At(uint64(height))
			if err != nil {
				rt.Fatal(err)
			}
			keys := questions(r.IntN, models[height])
			shuffled := append(slices.Clone(keys), keys[0])
			r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			proof, err := v.Prove(shuffled)
			switch {
			case len(models[height]) == 0:
				if !errors.Is(err, ErrMisuse) {
					rt.Fatalf("height %d, an empty state: %v", height, err)
				}
			case err != nil:
				rt.Fatalf("height %d: %v", height, err)
			default:
				if err := errors.Join(checkProof(proof, keys, v.AppHash(), models[height]), checkIAVL(v, proof, keys)); err != nil {
					rt.Fatalf("height %d: %v", height, err)
				}
			}
			v.Release()
		}
	})
}

// TestProveDuringCommits proves keys of the newest and of past heights while blocks are committed and pruned.
func TestProveDuringCommits(t *testing.T) {
	t.Parallel()
	const blocks = 100
	cfg := testConfig(t.TempDir())
	cfg.KeepHeights = 8
	s := mustOpen(t, cfg)
	defer mustClose(t, s)
	r := rand.New(rand.NewPCG(7, 8))
	models := make([]model, blocks+1)
	all := make([][]write, blocks+1)
	for height := 1; height <= blocks; height++ {
		all[height] = append(randomBlock(r, 60), write{[]byte("always"), fmt.Append(nil, height/3+1)})
		models[height] = models[height-1].apply(all[height])
	}
	commit(t, s, all[1])
	done := make(chan struct{})
	var group sync.WaitGroup
	for reader := range 3 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(9, uint64(reader)))
			for {
				select {
				case <-done:
					return
				default:
				}
				v := s.Latest()
				if reader > 0 {
					newest := v.Height()
					v.Release()
					var err error
					if v, err = s.At(s.Oldest() + r.Uint64N(newest-min(newest, s.Oldest())+1)); errors.Is(err, ErrPruned) {
						continue
					} else if err != nil {
						t.Error(err)
						return
					}
				}
				keys := questions(r.IntN, models[v.Height()])
				proof, err := v.Prove(keys)
				if err == nil {
					err = checkProof(proof, keys, v.AppHash(), models[v.Height()])
				}
				v.Release()
				if err != nil {
					t.Errorf("height %d: %v", v.Height(), err)
					return
				}
			}
		})
	}
	for height := 2; height <= blocks; height++ {
		commit(t, s, all[height])
	}
	close(done)
	group.Wait()
}

// TestProveErrors asks for what cannot be proven.
func TestProveErrors(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testConfig(t.TempDir()))
	defer mustClose(t, s)
	before := s.Latest()
	if _, err := before.Prove([][]byte{[]byte("k")}); !errors.Is(err, ErrMisuse) {
		t.Errorf("before the first block: %v", err)
	}
	before.Release()
	commit(t, s, []write{{[]byte("k"), []byte("v")}})
	v := s.Latest()
	many := make([][]byte, MaxProofKeys)
	for i := range many {
		many[i] = keyspace.Uint64([]byte("n"), uint64(i))
	}
	for name, c := range map[string]struct {
		keys [][]byte
		want error
	}{
		"nothing":         {nil, ErrMisuse},
		"an empty key":    {[][]byte{[]byte("k"), {}}, ErrMisuse},
		"an overlong key": {[][]byte{make([]byte, maxProofKey+1)}, ErrMisuse},
		"too many":        {append(slices.Clone(many), []byte("k")), ErrTooManyKeys},
		"many":            {many, nil},
		"many repeats":    {append(slices.Clone(many), many...), nil},
	} {
		if _, err := v.Prove(c.keys); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v.Release()
	if _, err := v.Prove([][]byte{[]byte("k")}); !errors.Is(err, ErrReleased) {
		t.Errorf("after Release: %v", err)
	}
}

// TestDamageIsNotProven damages a leaf, and a stored hash. No proof that goes by is given out.
func TestDamageIsNotProven(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"k025":  func(v []byte) []byte { v[len(v)-1] ^= 1; return v },
		"inner": func(v []byte) []byte { v[len(v)/2] ^= 1; return v },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mustOpen(t, testConfig(t.TempDir()))
			defer mustClose(t, s)
			var writes []write
			keys := make([][]byte, 50)
			for i := range keys {
				keys[i] = fmt.Appendf(nil, "k%03d", i)
				writes = append(writes, write{keys[i], []byte("value")})
			}
			commit(t, s, writes)
			if err := findNodes(t, s).replace(s.db, name, damage); err != nil {
				t.Fatal(err)
			}
			commit(t, s, nil)
			past, err := s.At(1)
			if err != nil {
				t.Fatal(err)
			}
			defer past.Release()
			if _, err := past.Prove(keys); !errors.Is(err, ErrCorrupt) {
				t.Errorf("all keys: %v", err)
			}
		})
	}
}

// BenchmarkProve proves what a read reads (three keys, one of them absent) and what a page reads (1,000 neighbours, with the
// ends), of the newest height.
func BenchmarkProve(b *testing.B) {
	for _, size := range []int{100_000, 1_000_000} {
		s := mustOpen(b, Config{Dir: b.TempDir(), TreeCacheNodes: 300_000})
		key := func(i int) []byte {
			return fmt.Appendf(nil, "%corg%02d/usd\x00org%02d/account%07d", keyspace.PrefixBalances, i%50, i%50, i)
		}
		for begin := 0; begin < size; begin += 50_000 {
			writes := make([]write, 50_000)
			for i := range writes {
				writes[i] = write{key(begin + i), bytes.Repeat([]byte{byte(i)}, 32)}
			}
			commit(b, s, writes)
		}
		v := s.Latest()
		r := rand.New(rand.NewPCG(1, 2))
		b.Run(fmt.Sprintf("keys=%d/read", size), func(b *testing.B) {
			total, longest := 0, time.Duration(0)
			for b.Loop() {
				keys := [][]byte{key(r.IntN(size)), key(r.IntN(size)), append(key(r.IntN(size)), 'x')}
				begin := time.Now()
				proof, err := v.Prove(keys)
				if err != nil {
					b.Fatal(err)
				}
				total, longest = total+len(proof), max(longest, time.Since(begin))
			}
			b.ReportMetric(float64(total)/float64(b.N), "B-proof/op")
			b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
		})
		// On a busy ledger the newest height that can be proven is the one before the newest: it is opened, read and proven.
		b.Run(fmt.Sprintf("keys=%d/before", size), func(b *testing.B) {
			for b.Loop() {
				past, err := s.At(v.Height() - 1)
				if err != nil {
					b.Fatal(err)
				}
				keys := [][]byte{key(r.IntN(size)), key(r.IntN(size)), append(key(r.IntN(size)), 'x')}
				for _, key := range keys {
					if _, err := past.Get(key); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := past.Prove(keys); err != nil {
					b.Fatal(err)
				}
				past.Release()
			}
		})
		b.Run(fmt.Sprintf("keys=%d/page", size), func(b *testing.B) {
			total := 0
			for b.Loop() {
				start := key(r.IntN(size))
				keys := [][]byte{append(bytes.Clone(start), 0)}
				if err := v.Scan(start, nil, func(key, _ []byte) (bool, error) {
					keys = append(keys, bytes.Clone(key))
					return len(keys) <= 1000, nil
				}); err != nil {
					b.Fatal(err)
				}
				proof, err := v.Prove(keys)
				if err != nil {
					b.Fatal(err)
				}
				total += len(proof)
			}
			b.ReportMetric(float64(total)/float64(b.N), "B-proof/op")
		})
		v.Release()
		mustClose(b, s)
	}
}
