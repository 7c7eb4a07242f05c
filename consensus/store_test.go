package consensus

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	dbm "github.com/cometbft/cometbft-db"
	sm "github.com/cometbft/cometbft/state"
)

func TestAShutGateIsEmptyAndTakesNothing(t *testing.T) {
	t.Parallel()
	db := dbm.NewMemDB()
	g := &gate{db: db}
	k, v := []byte("key"), []byte("value")
	late := g.NewBatch()
	if err := errors.Join(g.Set(k, v), late.Set([]byte("late"), v)); err != nil {
		t.Fatal(err)
	}
	if got, err := g.Get(k); err != nil || string(got) != "value" {
		t.Fatalf("Get = %q, %v", got, err)
	}
	g.shut()
	if got, err := g.Get(k); got != nil || err != nil {
		t.Errorf("Get = %q, %v", got, err)
	}
	if has, err := g.Has(k); has || err != nil {
		t.Errorf("Has = %v, %v", has, err)
	}
	after := g.NewBatch()
	_, errIterator := g.Iterator(nil, nil)
	_, errReverse := g.ReverseIterator(nil, nil)
	for name, err := range map[string]error{
		"Set": g.Set(k, v), "SetSync": g.SetSync(k, v), "Delete": g.Delete(k), "DeleteSync": g.DeleteSync(k),
		"Compact": g.Compact(nil, nil), "Iterator": errIterator, "ReverseIterator": errReverse,
		"Write": late.Write(), "WriteSync": after.WriteSync(),
	} {
		if !errors.Is(err, errStopped) {
			t.Errorf("%s: %v, want %v", name, err, errStopped)
		}
	}
	if has, _ := db.Has([]byte("late")); has {
		t.Error("a batch got through")
	}
	if has, _ := db.Has(k); !has {
		t.Error("a deletion got through")
	}
}

func TestShutWaitsForTheCallsUnderWay(t *testing.T) {
	t.Parallel()
	g := &gate{db: dbm.NewMemDB()}
	var closed atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for g.write(func() error {
				if closed.Load() {
					t.Error("a call reached the database after it was closed")
				}
				return nil
			}) == nil {
			}
		})
	}
	g.shut()
	closed.Store(true)
	wg.Wait()
}

func TestTheStateStoreRemembersWhatTheEngineWouldCompute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 0)
	doc, err := w.genesis.document()
	if err != nil {
		t.Fatal(err)
	}
	state, err := sm.MakeGenesisState(doc)
	if err != nil {
		t.Fatal(err)
	}
	plain := sm.NewStore(dbm.NewMemDB(), sm.StoreOptions{})
	var validator atomic.Bool
	var proposers [][]byte
	s := &stateStore{
		Store: plain, validator: &validator,
		signer: ringOf(t, testChain, "vote org1-1"),
		saved:  func(proposer []byte) { proposers = append(proposers, proposer) },
	}
	if err := s.Save(state); err != nil {
		t.Fatal(err)
	}
	for height := int64(1); height <= 5; height++ {
		next := state.Copy()
		next.LastBlockHeight, next.LastValidators, next.Validators = height, state.Validators.Copy(), state.NextValidators.Copy()
		next.NextValidators = state.NextValidators.CopyIncrementProposerPriority(1)
		if err := s.Save(next); err != nil {
			t.Fatal(err)
		}
		state = next
		if got := proposers[height]; !bytes.Equal(got, next.Validators.GetProposer().Address) {
			t.Errorf("height %d: %X proposes next", height, got)
		}
		if at, set := s.next(); at != height+1 || set.String() != state.Validators.String() {
			t.Errorf("the validators to come are those of %d\n%v, want %d\n%v", at, set, height+1, state.Validators)
		}
		for _, at := range []int64{height, height - 1} {
			if at == 0 {
				continue
			}
			got, err := s.LoadValidators(at)
			if err != nil {
				t.Fatal(err)
			}
			want, err := plain.LoadValidators(at)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != want.String() {
				t.Errorf("validators at %d (newest %d) are\n%v, want\n%v", at, height, got, want)
			}
		}
	}
	if !validator.Load() {
		t.Error("the node is not known as a validator")
	}
}
