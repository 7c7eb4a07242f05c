package app

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// witness checks the keys that the events of the newest block name, and which kinds of events there have been.
type witness struct {
	*replica
	seen map[string]bool
}

func (w *witness) look() {
	w.t.Helper()
	view := w.store.Latest()
	defer view.Release()
	outcomes, err := w.app.Outcomes(view.Height())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range outcomes {
		list := new(ledgerv1.EventList)
		if err := list.UnmarshalVT(o.Events); err != nil {
			w.t.Fatal(err)
		}
		all, err := Touched(view, o.Events)
		if err != nil || len(list.Events) > 0 && len(all) == 0 {
			w.t.Fatalf("%d events name %d keys: %v", len(list.Events), len(all), err)
		}
		for i := range all[1:] {
			if bytes.Compare(all[i], all[i+1]) >= 0 {
				w.t.Errorf("key %x stands before %x", all[i], all[i+1])
			}
		}
		if proof, err := view.Prove(all); err != nil || len(proof) == 0 {
			w.t.Errorf("the keys cannot be proven: %v", err)
		}
		for _, e := range list.Events {
			m := e.ProtoReflect()
			kind := string(m.WhichOneof(m.Descriptor().Oneofs().ByName("kind")).Name())
			w.seen[kind] = true
			w.event(view, kind, e)
		}
	}
}

// event checks that what an event names exists. Only a hold that has ended is gone.
func (w *witness) event(view *state.View, kind string, e *ledgerv1.Event) {
	w.t.Helper()
	one, err := (&ledgerv1.EventList{Events: []*ledgerv1.Event{e}}).MarshalVTStrict()
	if err != nil {
		w.t.Fatal(err)
	}
	named, err := Touched(view, one)
	if err != nil || len(named) == 0 {
		w.t.Errorf("%s names %d keys: %v", kind, len(named), err)
	}
	for _, key := range named {
		ended := key[0] == keyspace.PrefixHolds && kind != "asset_hold_opened"
		if value, err := view.Get(key); err != nil || (value == nil) != ended {
			w.t.Errorf("%s names key %q, whose value is %x, %v", kind, key, value, err)
		}
	}
}

// do decides one block for each operation.
func (w *witness) do(ops ...*ledgerv1.Operation) {
	w.t.Helper()
	for _, op := range ops {
		w.each(op)
		w.look()
	}
}

func (w *witness) vote(ops ...*ledgerv1.Operation) {
	w.t.Helper()
	w.enact(ops...)
	w.look()
}

func TestTouched(t *testing.T) {
	t.Parallel()
	world := newWorld(t)
	w := &witness{funded(t, world, state.Config{}), map[string]bool{}}
	w.look()
	w.do(proposing("acme/admin", setCharter(&governancev1.Charter{BlockIntervalMs: 300})))
	w.do(voting("globex/admin", w.newestProposal().Id, true))
	w.do(voting("initech/admin", w.newestProposal().Id, true))

	person := keyOf(t, keys.SchemeEd25519, "person")
	spare := listed(keyOf(t, keys.SchemeSchnorr, "spare"))
	acme := func(op *ledgerv1.Operation) *ledgerv1.Operation {
		op.Account = "acme/admin"
		return op
	}
	w.do(
		acme(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountCreate{AccountCreate: &accountsv1.Create{
			Name: "acme/person", Keys: []*accountsv1.WeightedKey{listed(person)}, Threshold: 1, Roles: []string{"payer"},
		}}}),
		acme(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountSetRoles{AccountSetRoles: &accountsv1.SetRoles{Name: "acme/person", Roles: []string{"writer"}}}}),
		acme(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountAddKey{AccountAddKey: &accountsv1.AddKey{Name: "acme/person", Key: spare}}}),
		acme(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountSetTokenKeys{AccountSetTokenKeys: &accountsv1.SetTokenKeys{
			Name: "acme/person", TokenKeys: []*keysv1.PublicKey{listed(keyOf(t, keys.SchemeEd25519, "token")).PublicKey},
		}}}),
		transfer("acme/treasury", "acme/usd", "acme/admin", "1000"),
		transfer("acme/treasury", "acme/usd", "globex/treasury", "1000"),
		acme(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetBurn{AssetBurn: &assetsv1.Burn{Asset: "acme/usd", Amount: "1"}}}),
		acme(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetSetFrozen{AssetSetFrozen: &assetsv1.SetFrozen{Asset: "acme/usd", Account: "umbrella/treasury", Frozen: true}}}),
		acme(&ledgerv1.Operation{Kind: &ledgerv1.Operation_RecordSetCollection{RecordSetCollection: &recordsv1.SetCollection{
			Collection: "acme/docs", Writers: []*recordsv1.Grant{{Org: "acme", Role: "admin"}},
		}}}),
		acme(&ledgerv1.Operation{Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
			Record: "acme/docs/1", ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte("one")},
		}}}),
		acme(&ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeSetAddresses{NodeSetAddresses: &membershipv1.SetAddresses{
			Name: "acme-1", Addresses: []string{"acme.example:26656"},
		}}}),
	)
	for _, end := range []func(id []byte) *ledgerv1.Operation{
		func(id []byte) *ledgerv1.Operation {
			return &ledgerv1.Operation{Account: "globex/admin", Kind: &ledgerv1.Operation_AssetReleaseHold{AssetReleaseHold: &assetsv1.ReleaseHold{HoldId: id}}}
		},
		func(id []byte) *ledgerv1.Operation {
			return &ledgerv1.Operation{Account: "globex/admin", Kind: &ledgerv1.Operation_AssetCancelHold{AssetCancelHold: &assetsv1.CancelHold{HoldId: id}}}
		},
	} {
		w.do(&ledgerv1.Operation{Account: "acme/treasury", Kind: &ledgerv1.Operation_AssetOpenHold{AssetOpenHold: &assetsv1.OpenHold{
			Asset: "acme/usd", To: "initech/treasury", Amount: "5", Arbiter: "globex/admin",
			Deadline: timestamppb.New(blockTime(w.store.Height()).Add(time.Minute)),
		}}})
		outcomes, err := w.app.Outcomes(w.store.Height())
		if err != nil {
			t.Fatal(err)
		}
		id := assets.HoldID([32]byte(outcomes[0].Id), 0)
		w.do(end(id[:]))
	}

	world.keys["hooli/admin"] = keyOf(t, keys.SchemeSchnorr, "hooli/admin")
	w.vote(
		&ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgAdmit{OrgAdmit: &accountsv1.AdmitOrg{Name: "hooli", Accounts: []*accountsv1.Create{{
			Name: "hooli/admin", Keys: []*accountsv1.WeightedKey{listed(world.keys["hooli/admin"])}, Threshold: 1, Roles: []string{"admin"},
		}}}}},
		&ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: world.nodeOf("hooli-1", "hooli", "hooli.example:26656")}},
		&ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgSetAllotment{OrgSetAllotment: &accountsv1.SetAllotment{
			Name: "acme", Allotment: &accountsv1.Allotment{Power: 20, Nodes: 3},
		}}},
		&ledgerv1.Operation{Kind: &ledgerv1.Operation_UpgradeSchedule{UpgradeSchedule: &governancev1.ScheduleUpgrade{
			Upgrade: &governancev1.Upgrade{Height: 1000, FeatureLevel: FeatureLevel + 1, Note: "install version 2"},
		}}},
	)

	// What is removed stays known by its name.
	w.each(proposing("acme/admin", &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgRemove{OrgRemove: &accountsv1.RemoveOrg{Name: "umbrella", Reason: "a test"}}}))
	id := w.newestProposal().Id
	w.do(voting("globex/admin", id, true), voting("initech/admin", id, true), voting("hooli/admin", id, true))

	kinds := (&ledgerv1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range kinds.Len() {
		if kind := string(kinds.Get(i).Name()); !w.seen[kind] {
			t.Errorf("there was no event of the kind %s: have one happen, so that what it names is known to be provable", kind)
		}
	}
}

func TestTouchedRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	view := r.store.Latest()
	defer view.Release()
	if _, err := Touched(view, []byte{0xff}); err == nil {
		t.Error("damaged events name keys")
	}
	unknown, err := (&ledgerv1.EventList{Events: []*ledgerv1.Event{{Operation: 1}}}).MarshalVTStrict()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Touched(view, unknown); err == nil {
		t.Error("an event of no kind names keys")
	}
	if named, err := Touched(view, nil); err != nil || len(named) != 0 {
		t.Errorf("no events name %d keys: %v", len(named), err)
	}
	lost := errors.New("lost")
	minted, err := (&ledgerv1.EventList{Events: []*ledgerv1.Event{{Kind: &ledgerv1.Event_AssetMinted{
		AssetMinted: &assetsv1.Minted{Asset: "acme/usd", To: "acme/treasury", Amount: "1"},
	}}}}).MarshalVTStrict()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Touched(failing{lost}, minted); !errors.Is(err, lost) {
		t.Errorf("a failing state: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Get([]byte) ([]byte, error) { return nil, f.err }
