package tx

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// FuzzDecode holds what is accepted against protobuf's own decoder, and decoding against itself.
func FuzzDecode(f *testing.F) {
	f.Add(rich(f))
	f.Add(encode(f, signed(f, body(transfer("acme/alice", "acme/bob", "1")), "acme/alice")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Decode(chain, raw, defaults)
		if err != nil {
			if _, ok := CodeOf(err); !ok {
				t.Fatalf("%v is no rejection", err)
			}
			if got != nil {
				t.Fatal("a transaction beside an error")
			}
			return
		}
		envelope, body := new(ledgerv1.Tx), new(ledgerv1.Body)
		if err := proto.Unmarshal(raw, envelope); err != nil {
			t.Fatalf("accepted, but protobuf refuses the envelope: %v", err)
		}
		if err := proto.Unmarshal(envelope.Body, body); err != nil {
			t.Fatalf("accepted, but protobuf refuses the body: %v", err)
		}
		for _, m := range []proto.Message{envelope, body} {
			err := protorange.Range(m.ProtoReflect(), func(v protopath.Values) error {
				if m, ok := v.Index(-1).Value.Interface().(protoreflect.Message); ok && len(m.GetUnknown()) > 0 {
					t.Fatalf("accepted with unknown fields: %v", m)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !proto.Equal(body, got.Body) {
			t.Fatalf("protobuf reads another body: %v, not %v", body, got.Body)
		}
		if got.ID != IDOf(chain, envelope.Body) {
			t.Fatal("the id is not that of the body's bytes")
		}
		again, err := Decode(chain, encode(t, envelope), defaults)
		if err != nil {
			t.Fatalf("encoded again it is refused: %v", err)
		}
		if again.ID != got.ID || !proto.Equal(again.Body, got.Body) || again.ExpiresAt != got.ExpiresAt || again.Payer != got.Payer {
			t.Fatal("encoded again it is another transaction")
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"transfer", encode(b, signed(b, body(transfer("acme/alice", "globex/treasury", "1250")), "acme/alice"))},
		{"rich", rich(b)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(chain, c.raw, defaults); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
