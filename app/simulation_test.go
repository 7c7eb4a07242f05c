package app

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

var (
	simSeed   = flag.Uint64("sim.seed", 0, "seed of the simulation; 0 runs the usual ones")
	simBlocks = flag.Int("sim.blocks", 60, "blocks of the simulation")
)

// TestReplicasAgree runs the same blocks on replicas that differ in everything that must not matter: caches, pruning,
// restarts, and whether a block was executed as a proposal before it was decided. Every app hash and every result
// must be the same.
func TestReplicasAgree(t *testing.T) {
	t.Parallel()
	seeds := []uint64{1, 2, 3}
	if *simSeed != 0 {
		seeds = []uint64{*simSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			simulate(t, seed, *simBlocks)
		})
	}
}

func simulate(t *testing.T, seed uint64, blocks int) {
	w := newWorldWith(t, keepLittle)
	with := func(change func(*state.Config)) *replica {
		cfg := statetest.Config(t.TempDir())
		change(&cfg)
		return newReplica(t, w, cfg)
	}
	plain := with(func(*state.Config) {})
	restarting := with(func(*state.Config) {})
	others := []*replica{
		with(func(c *state.Config) { c.TreeCacheNodes, c.CacheBytes = 16, 1<<20 }),
		with(func(c *state.Config) { c.KeepHeights, c.PrunePerCommit = 3, 4 }),
		restarting,
	}
	s := &sim{world: w, random: rand.New(rand.NewPCG(seed, 1))}
	at := genesisTime
	var before []byte
	idle := 0
	for height := uint64(1); height <= uint64(blocks); height++ {
		at = at.Add(time.Duration(1+s.random.IntN(40_000)) * time.Millisecond)
		txs := s.block(at)
		// Only what may be proposed stands in a block, as on a live network: the first replica says what that is.
		var fit [][]byte
		for _, raw := range txs {
			if plain.propose(height, at, append(fit[:len(fit):len(fit)], raw)...) {
				fit = append(fit, raw)
			}
		}
		plain.propose(height, at, fit...)
		want := plain.decide(height, at, fit...)
		if len(fit) == 0 && height > 1 {
			// The header of such a block carries the root of the state after it as well: proofs at the tip rely on it.
			if idle++; !bytes.Equal(want.AppHash, before) {
				t.Fatalf("seed %d, block %d: without transactions, it changes the app hash from %x to %x", seed, height, before, want.AppHash)
			}
		}
		before = want.AppHash
		for i, r := range others {
			if r == restarting && s.random.IntN(4) == 0 {
				r.restart()
			}
			if s.random.IntN(2) == 0 && !r.propose(height, at, fit...) {
				t.Fatalf("seed %d, block %d: replica %d refuses the proposal", seed, height, i)
			}
			got := r.decide(height, at, fit...)
			if !bytes.Equal(got.AppHash, want.AppHash) {
				t.Fatalf("seed %d, block %d: replica %d has app hash %x, want %x", seed, height, i, got.AppHash, want.AppHash)
			}
			compareResults(t, got, want)
		}
		s.learn(fit, want)
	}
	if idle == 0 && blocks >= 60 {
		t.Errorf("seed %d: no block was without transactions", seed)
	}
	if s.applied < blocks {
		t.Errorf("seed %d: only %d transactions were applied: the simulation tests nothing", seed, s.applied)
	}
	for _, r := range append(others, plain) {
		found, err := Examine(context.Background(), w.genesis, r.store)
		if err != nil || len(found) > 0 {
			t.Errorf("seed %d: %v %v", seed, found, err)
		}
	}
}

func compareResults(t *testing.T, got, want *abci.ResponseFinalizeBlock) {
	t.Helper()
	for i := range want.TxResults {
		if got.TxResults[i].Code != want.TxResults[i].Code || !bytes.Equal(got.TxResults[i].Data, want.TxResults[i].Data) {
			t.Fatalf("result %d is %v, want %v", i, got.TxResults[i], want.TxResults[i])
		}
	}
}

// sim makes up transactions, most of which make sense.
type sim struct {
	world    *world
	random   *rand.Rand
	accounts []string
	old      [][]byte // sent before
	holds    [][]byte
	applied  int
	names    int
}

func (s *sim) pick(list []string) string { return list[s.random.IntN(len(list))] }

func (s *sim) account() string {
	if len(s.accounts) > 0 && s.random.IntN(4) == 0 {
		return s.pick(s.accounts)
	}
	return s.pick(orgs) + "/" + s.pick([]string{"admin", "treasury"})
}

func (s *sim) asset() string { return s.pick(orgs) + "/" + s.pick([]string{"usd", "eur"}) }

func (s *sim) amount() string { return fmt.Sprint(1 + s.random.IntN(1000)) }

func (s *sim) block(at time.Time) [][]byte {
	var txs [][]byte
	if s.applied == 0 {
		for _, org := range orgs {
			for _, asset := range []string{org + "/usd", org + "/eur"} {
				txs = append(txs, s.world.sign(s.world.body(at, createAsset(org+"/admin", asset),
					mint(org+"/admin", asset, "acme/treasury", "5000"), mint(org+"/admin", asset, "globex/admin", "5000"))))
			}
		}
		return txs
	}
	for range s.random.IntN(12) {
		if len(s.old) > 0 && s.random.IntN(10) == 0 {
			txs = append(txs, s.old[s.random.IntN(len(s.old))])
			continue
		}
		var ops []*ledgerv1.Operation
		for range 1 + s.random.IntN(5)/3 {
			ops = append(ops, s.operation(at))
		}
		body := s.world.body(at, ops...)
		if s.random.IntN(8) == 0 {
			body.ExpiresAt = timestamppb.New(at.Add(time.Duration(s.random.IntN(30)) * time.Hour))
		}
		txs = append(txs, s.world.sign(body))
	}
	s.old = append(s.old, txs...)
	return txs
}

func (s *sim) operation(at time.Time) *ledgerv1.Operation {
	org := s.pick(orgs)
	admin := org + "/admin"
	switch s.random.IntN(12) {
	case 0:
		return createAsset(admin, s.asset())
	case 1, 2, 3:
		asset := s.asset()
		return mint(orgOf(asset)+"/admin", asset, s.account(), s.amount())
	case 4, 5, 6:
		return transfer(s.account(), s.asset(), s.account(), s.amount())
	case 7:
		return s.hold(at)
	case 8:
		return s.endHold()
	case 9:
		asset := s.asset()
		return &ledgerv1.Operation{Account: orgOf(asset) + "/admin", Kind: &ledgerv1.Operation_AssetSetFrozen{AssetSetFrozen: &assetsv1.SetFrozen{
			Asset: asset, Account: s.account(), Frozen: s.random.IntN(3) == 0,
		}}}
	case 10:
		return &ledgerv1.Operation{Account: admin, Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
			Record: fmt.Sprintf("%s/docs/%d", org, s.random.IntN(5)), ContentType: "text/plain",
			Content: &recordsv1.Put_Data{Data: []byte(s.amount())},
		}}}
	default:
		return s.changeAccount(org)
	}
}

func (s *sim) hold(at time.Time) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: s.account(), Kind: &ledgerv1.Operation_AssetOpenHold{AssetOpenHold: &assetsv1.OpenHold{
		Asset: s.asset(), To: s.account(), Amount: s.amount(), Arbiter: s.pick(append([]string{"", "", ""}, "acme/admin")),
		Deadline: timestamppb.New(at.Add(time.Duration(s.random.IntN(300)-20) * time.Second)),
	}}}
}

func (s *sim) endHold() *ledgerv1.Operation {
	id := bytes.Repeat([]byte{1}, 32)
	if len(s.holds) > 0 {
		id = s.holds[s.random.IntN(len(s.holds))]
	}
	if s.random.IntN(2) == 0 {
		return &ledgerv1.Operation{Account: s.account(), Kind: &ledgerv1.Operation_AssetReleaseHold{AssetReleaseHold: &assetsv1.ReleaseHold{HoldId: id}}}
	}
	return &ledgerv1.Operation{Account: s.account(), Kind: &ledgerv1.Operation_AssetCancelHold{AssetCancelHold: &assetsv1.CancelHold{HoldId: id}}}
}

// changeAccount makes new accounts, and changes the keys of those that it made.
func (s *sim) changeAccount(org string) *ledgerv1.Operation {
	if len(s.accounts) < 4 || s.random.IntN(3) == 0 {
		s.names++
		name := fmt.Sprintf("%s/person-%d", org, s.names)
		s.world.keys[name] = keyOf(s.world.t, keys.SchemeSchnorr, name)
		return &ledgerv1.Operation{Account: org + "/admin", Kind: &ledgerv1.Operation_AccountCreate{AccountCreate: &accountsv1.Create{
			Name: name, Keys: []*accountsv1.WeightedKey{listed(s.world.keys[name])}, Threshold: 1, Roles: []string{"payer"},
		}}}
	}
	name := s.pick(s.accounts)
	other := keyOf(s.world.t, keys.SchemeEd25519, name+" other")
	add := listed(other)
	admin := orgOf(name) + "/admin"
	if s.random.IntN(2) == 0 {
		return &ledgerv1.Operation{Account: admin, Kind: &ledgerv1.Operation_AccountAddKey{AccountAddKey: &accountsv1.AddKey{Name: name, Key: add}}}
	}
	return &ledgerv1.Operation{Account: admin, Kind: &ledgerv1.Operation_AccountRevokeKey{AccountRevokeKey: &accountsv1.RevokeKey{
		Name: name, PublicKey: &keysv1.PublicKey{Scheme: add.PublicKey.Scheme, Key: add.PublicKey.Key},
	}}}
}

func orgOf(name string) string {
	for _, org := range orgs {
		if len(name) > len(org) && name[:len(org)+1] == org+"/" {
			return org
		}
	}
	return name
}

// learn notes what exists now.
func (s *sim) learn(txs [][]byte, res *abci.ResponseFinalizeBlock) {
	for i, raw := range txs {
		if res.TxResults[i].Code != 0 {
			continue
		}
		s.applied++
		envelope, body := new(ledgerv1.Tx), new(ledgerv1.Body)
		if envelope.UnmarshalVT(raw) != nil || body.UnmarshalVT(envelope.Body) != nil {
			s.world.t.Fatal("a transaction of our own does not decode")
		}
		for index, op := range body.Operations {
			switch k := op.Kind.(type) {
			case *ledgerv1.Operation_AccountCreate:
				s.accounts = append(s.accounts, k.AccountCreate.Name)
			case *ledgerv1.Operation_AssetOpenHold:
				s.holds = append(s.holds, holdID(s.world.id(raw), uint32(index)))
			}
		}
	}
}

func holdID(id [32]byte, operation uint32) []byte {
	sum := keys.TaggedHash("althing/hold/v1", id[:], []byte{byte(operation >> 24), byte(operation >> 16), byte(operation >> 8), byte(operation)})
	return sum[:]
}
