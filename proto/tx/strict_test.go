package tx

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestSchema keeps the schema within what the checker understands.
func TestSchema(t *testing.T) {
	t.Parallel()
	known := []protoreflect.Kind{protoreflect.BoolKind, protoreflect.EnumKind, protoreflect.Uint32Kind, protoreflect.Int32Kind,
		protoreflect.Uint64Kind, protoreflect.Int64Kind, protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind}
	var walk func(d protoreflect.MessageDescriptor, path string, depth int)
	walk = func(d protoreflect.MessageDescriptor, path string, depth int) {
		if depth > maxDepth {
			t.Fatalf("%s nests deeper than %d messages", path, maxDepth)
		}
		if d.ExtensionRanges().Len() > 0 {
			t.Errorf("%s has extensions: the checker reads fields from the descriptor alone", path)
		}
		if d.Fields().Len() > 64 {
			t.Errorf("%s has more than 64 fields: the set of fields seen is one word", path)
		}
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			at := path + "." + string(f.Name())
			switch {
			case f.IsMap():
				t.Errorf("%s is a map: its order is not fixed", at)
			case !slices.Contains(known, f.Kind()):
				t.Errorf("%s is a %s, which the checker does not know", at, f.Kind())
			case f.IsList() && !slices.Contains([]protoreflect.Kind{protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind}, f.Kind()):
				t.Errorf("%s repeats a scalar, which has two encodings", at)
			case f.Number() > 1000:
				t.Errorf("%s has the number %d: fields are looked up in an array", at, f.Number())
			case f.Name() == "proposal_create" && strings.Contains(path, "."+string(f.Name())):
				// No proposal contains proposals; the state machine refuses them, and the checker's bound on depth ends them.
			case f.Kind() == protoreflect.MessageKind:
				walk(f.Message(), at, depth+1)
			}
		}
	}
	walk((&ledgerv1.Tx{}).ProtoReflect().Descriptor(), "Tx", 1)
	walk((&ledgerv1.Body{}).ProtoReflect().Descriptor(), "Body", 1)
}

// A spot is the beginning of a message inside a transaction: its bytes, and how to put others in their place.
type spot struct {
	name string
	raw  []byte
	wrap func([]byte) []byte
	d    protoreflect.MessageDescriptor
}

// spots finds every message in an encoded one.
func spots(t *testing.T, name string, raw []byte, d protoreflect.MessageDescriptor, wrap func([]byte) []byte) []spot {
	t.Helper()
	found := []spot{{name, raw, wrap, d}}
	for at := 0; at < len(raw); {
		number, wire, n := protowire.ConsumeTag(raw[at:])
		whole := n + protowire.ConsumeFieldValue(number, wire, raw[at+n:])
		f := d.Fields().ByNumber(number)
		start, end := at, at+whole
		at = end
		if wire != protowire.BytesType {
			continue
		}
		inner := f.Message()
		if f.Name() == "body" && d.Name() == "Tx" {
			inner = (&ledgerv1.Body{}).ProtoReflect().Descriptor()
		}
		if inner == nil {
			continue
		}
		content, _ := protowire.ConsumeBytes(raw[start+n : end])
		found = append(found, spots(t, fmt.Sprintf("%s.%s@%d", name, f.Name(), start), content, inner, func(b []byte) []byte {
			out := bytesField(slices.Clone(raw[:start]), number, b)
			return wrap(append(out, raw[end:]...))
		})...)
	}
	return found
}

// TestStrictAtEveryDepth spoils each message inside a transaction in each way that protobuf would let pass or that would
// be read differently by different decoders.
func TestStrictAtEveryDepth(t *testing.T) {
	t.Parallel()
	all := spots(t, "Tx", rich(t), (&ledgerv1.Tx{}).ProtoReflect().Descriptor(), func(b []byte) []byte { return b })
	if len(all) != 14 {
		t.Fatalf("%d messages found, not 14: has rich changed?", len(all))
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			spoil := func(what string, want Code, raw []byte) {
				t.Helper()
				_, err := Decode(chain, s.wrap(raw), defaults)
				if code, ok := CodeOf(err); !ok || code != want {
					t.Errorf("%s: %v, want %s", what, err, Reason(want))
				}
			}
			unknown := ledgerv1.Code_CODE_UNKNOWN_FIELD
			if s.d.Name() == "Operation" {
				unknown = ledgerv1.Code_CODE_UNKNOWN_OPERATION
			}
			own := func() []byte { return slices.Clone(s.raw) }
			spoil("unknown field", unknown, varintField(own(), 999, 1))
			spoil("unknown field with the largest number", unknown, varintField(own(), protowire.MaxValidNumber, 1))
			spoil("unknown group", unknown, protowire.AppendTag(protowire.AppendTag(own(), 998, protowire.StartGroupType), 998,
				protowire.EndGroupType))
			spoil("stray end of a group", ledgerv1.Code_CODE_MALFORMED, protowire.AppendTag(own(), 1, protowire.EndGroupType))
			spoil("field number zero", ledgerv1.Code_CODE_MALFORMED, append(own(), 0, 0))
			spoil("reserved wire type", ledgerv1.Code_CODE_MALFORMED, append(own(), 1<<3|7))
			spoil("trailing half of a tag", ledgerv1.Code_CODE_MALFORMED, append(own(), 0x80))
			spoil("tag longer than it has to be", ledgerv1.Code_CODE_MALFORMED, append(long(nil, uint64(s.raw[0])), s.raw[1:]...))
			spoil("tag of more than 32 bits", ledgerv1.Code_CODE_MALFORMED,
				append(protowire.AppendVarint(nil, 1<<35|uint64(s.raw[0])), s.raw[1:]...))
			// All but its last byte, unless that leaves a whole message.
			if _, _, n := protowire.ConsumeField(s.raw); n > 0 && n <= len(s.raw) {
				spoil("cut off", ledgerv1.Code_CODE_MALFORMED, s.raw[:n-1])
			}
			for at := 0; at < len(s.raw); {
				number, wire, n := protowire.ConsumeTag(s.raw[at:])
				end := at + n + protowire.ConsumeFieldValue(number, wire, s.raw[at+n:])
				f := s.d.Fields().ByNumber(number)
				before, value, after := s.raw[:at], s.raw[at+n:end], s.raw[end:]
				swap := func(middle []byte) []byte { return slices.Concat(before, middle, after) }
				if f.Cardinality() != protoreflect.Repeated {
					spoil("twice: "+string(f.Name()), ledgerv1.Code_CODE_REPEATED_FIELD, append(own(), s.raw[at:end]...))
				}
				if group := f.ContainingOneof(); group != nil && !group.IsSynthetic() {
					for i := range group.Fields().Len() {
						other := group.Fields().Get(i)
						if other.Kind() == protoreflect.MessageKind || other.Kind() == protoreflect.BytesKind {
							spoil("beside "+string(other.Name()), ledgerv1.Code_CODE_REPEATED_FIELD, bytesField(own(), other.Number(), nil))
						}
					}
				}
				prefix, m := protowire.ConsumeVarint(value)
				spoil("length or value longer than it has to be: "+string(f.Name()), ledgerv1.Code_CODE_MALFORMED,
					swap(append(long(protowire.AppendTag(nil, number, wire), prefix), value[m:]...)))
				for other := protowire.VarintType; other <= protowire.Fixed32Type; other++ {
					if other != wire {
						spoil(fmt.Sprintf("wire type %d: %s", other, f.Name()), ledgerv1.Code_CODE_MALFORMED,
							swap(append(protowire.AppendTag(nil, number, other), value...)))
					}
				}
				if f.Kind() == protoreflect.StringKind {
					spoil("not UTF-8: "+string(f.Name()), ledgerv1.Code_CODE_MALFORMED, swap(bytesField(nil, number, []byte{'a', 0xff})))
				}
				if wire == protowire.BytesType {
					spoil("longer than its message: "+string(f.Name()), ledgerv1.Code_CODE_MALFORMED,
						append(slices.Clone(before), protowire.AppendVarint(protowire.AppendTag(nil, number, wire), math.MaxUint64)...))
				}
				for _, v := range map[protoreflect.Kind][]uint64{
					protoreflect.BoolKind:   {2, math.MaxUint64},
					protoreflect.EnumKind:   {1 << 31, math.MaxUint64},
					protoreflect.Uint32Kind: {1 << 32, math.MaxUint64},
					protoreflect.Int32Kind:  {1 << 31, 1<<32 | 5, math.MaxUint64 &^ (1 << 31)},
				}[f.Kind()] {
					spoil(fmt.Sprintf("%s is %d", f.Name(), v), ledgerv1.Code_CODE_MALFORMED, swap(varintField(nil, number, v)))
				}
				if f.Kind() == protoreflect.Int64Kind || f.Kind() == protoreflect.Uint64Kind {
					overflow := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}
					spoil("65 bits: "+string(f.Name()), ledgerv1.Code_CODE_MALFORMED,
						swap(append(protowire.AppendTag(nil, number, wire), overflow...)))
				}
				at = end
			}
		})
	}
}

// TestDepth nests deeper than any schema would.
func TestDepth(t *testing.T) {
	t.Parallel()
	loop := &shape{name: "Loop"}
	loop.fields = []field{{}, {name: "loop", position: 1, wire: protowire.BytesType, message: loop}}
	nest := func(n int) []byte {
		var raw []byte
		for range n {
			raw = bytesField(nil, 1, raw)
		}
		return raw
	}
	parts := MaxParts
	if err := loop.check(nest(maxDepth-1), maxDepth, &parts); err != nil {
		t.Errorf("the deepest nesting allowed: %v", err)
	}
	if code, _ := CodeOf(loop.check(nest(maxDepth), maxDepth, &parts)); code != ledgerv1.Code_CODE_MALFORMED {
		t.Errorf("one more: %s", Reason(code))
	}
}

// TestParts fills a small transaction with as many tiny messages as it holds.
func TestParts(t *testing.T) {
	t.Parallel()
	fill := func(n int) []byte {
		var raw []byte
		for range n {
			raw = append(raw, 0x12, 0) // an empty signature
		}
		return raw
	}
	wantCode(t, fill(MaxParts), defaults, ledgerv1.Code_CODE_MALFORMED) // no body
	wantCode(t, fill(MaxParts+1), defaults, ledgerv1.Code_CODE_TOO_LARGE)
	// Envelope and body share the allowance.
	half := bytesField(fill(MaxParts/2), 1, func() []byte {
		var raw []byte
		for range MaxParts/2 + 1 {
			raw = append(raw, 0x32, 0) // an empty operation
		}
		return raw
	}())
	wantCode(t, half, defaults, ledgerv1.Code_CODE_TOO_LARGE)
}

// TestFreeOrder accepts what protobuf leaves to the encoder: the order of fields, and defaults that are written out.
func TestFreeOrder(t *testing.T) {
	t.Parallel()
	b := body(transfer("acme/alice", "globex/treasury", "1"))
	ordered := encode(t, b)
	var reversed []byte
	for rest := ordered; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		reversed = slices.Concat(rest[:n], reversed)
		rest = rest[n:]
	}
	verbose := bytesField(bytesField(reversed, 4, nil), 5, nil) // payer and memo, both empty
	for _, raw := range [][]byte{reversed, verbose} {
		envelope := &ledgerv1.Tx{Body: raw}
		if err := AddSignature(envelope, chain, "acme/alice", testKey(t, keys.SchemeSchnorr, 1)); err != nil {
			t.Fatal(err)
		}
		got, err := Decode(chain, encode(t, envelope), defaults)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got.Body, b) {
			t.Errorf("body %v, want %v", got.Body, b)
		}
		if got.ID == IDOf(chain, ordered) || got.ID != IDOf(chain, raw) {
			t.Error("the id does not follow the bytes of the body")
		}
	}
}
