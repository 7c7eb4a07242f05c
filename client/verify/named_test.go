package verify

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/exec"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

// fill gives every name and number in a message a value of its own.
func fill(m protoreflect.Message, n *int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		*n++
		switch {
		case field.IsList() || field.IsMap() || field.ContainingOneof() != nil:
		case field.Kind() == protoreflect.StringKind:
			name := string([]byte{'n', byte('a' + *n%26), byte('a' + *n/26%26)})
			m.Set(field, protoreflect.ValueOfString(name+"/"+name+"x/"+name+"y"))
		case field.Kind() == protoreflect.BytesKind:
			m.Set(field, protoreflect.ValueOfBytes(bytes.Repeat([]byte{byte(*n)}, 32)))
		case field.Kind() == protoreflect.Uint64Kind:
			m.Set(field, protoreflect.ValueOfUint64(uint64(*n)))
		case field.Message() != nil:
			fill(m.Mutable(field).Message(), n)
		}
	}
}

// complete is a state in which every asset has a supply.
type complete struct{ statetest.Memory }

func (c *complete) Get(key []byte) ([]byte, error) {
	if key[0] == keyspace.PrefixSupply {
		return append([]byte{1}, make([]byte, 16)...), nil
	}
	return c.Memory.Get(key)
}

// TestNamedKeysAreTheModules makes an event of every kind there is, and holds the keys that it names here against those that the
// modules of the state machine read for it.
func TestNamedKeysAreTheModules(t *testing.T) {
	t.Parallel()
	kv := new(complete)
	// What is never absent once an event has named it.
	if err := exec.Put(&kv.Memory, keyspace.Key(keyspace.PrefixCharter, "charter"), new(governancev1.Charter)); err != nil {
		t.Fatal(err)
	}
	kinds := (&ledgerv1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	all, n := new(ledgerv1.EventList), 0
	check := func(name protoreflect.Name, list *ledgerv1.EventList) {
		t.Helper()
		raw, err := list.MarshalVTStrict()
		if err != nil {
			t.Fatal(err)
		}
		want, err := app.Touched(kv, raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := named(list)
		if err != nil || len(got) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(bytes.Join(got, []byte("|")), bytes.Join(want, []byte("|"))) {
			t.Errorf("%s: %q, the modules read %q", name, got, want)
		}
	}
	for i := range kinds.Len() {
		e := new(ledgerv1.Event)
		fill(e.ProtoReflect().Mutable(kinds.Get(i)).Message(), &n)
		all.Events = append(all.Events, e)
		check(kinds.Get(i).Name(), &ledgerv1.EventList{Events: []*ledgerv1.Event{e}})
	}
	check("all", all)

	if _, err := named(&ledgerv1.EventList{Events: []*ledgerv1.Event{{}}}); err == nil {
		t.Error("an event of no kind names something")
	}
	bad := new(ledgerv1.Event)
	bad.ProtoReflect().Mutable(kinds.ByName("node_removed")).Message().Set(
		kinds.ByName("node_removed").Message().Fields().ByName("name"), protoreflect.ValueOfString("a\x00b"))
	if _, err := named(&ledgerv1.EventList{Events: []*ledgerv1.Event{bad}}); err == nil {
		t.Error("a name with a zero byte makes a key")
	}
}
