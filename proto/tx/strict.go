package tx

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// maxDepth bounds the nesting of messages. The deepest path of the schema is shorter; a test says so.
const maxDepth = 8

// MaxParts is how many messages and elements of repeated fields a transaction may have in all. Two bytes on the wire can
// become fifty in memory; this bounds what a decoded transaction takes. A hundred operations of any kind stay below it.
const MaxParts = 1 << 14

// A shape is what a message may contain, read once from its descriptor.
type shape struct {
	name    string
	fields  []field // by number; number 0 marks a hole
	unknown Code    // for a number that is not in fields
}

type field struct {
	name     protoreflect.Name
	wire     protowire.Type
	limit    uint64 // largest varint
	signed32 bool   // a varint that holds a sign-extended 32-bit number
	once     uint64 // bit that a singular field sets; members of one oneof share it; 0 for a repeated field
	text     bool
	message  *shape
	position protowire.Number
}

// refused is no wire type: a field of a kind that the checker does not know is refused whatever stands in it.
const refused protowire.Type = -1

var txShape, bodyShape = func() (*shape, *shape) {
	known := map[protoreflect.FullName]*shape{}
	return shapeOf((&ledgerv1.Tx{}).ProtoReflect().Descriptor(), known), shapeOf((&ledgerv1.Body{}).ProtoReflect().Descriptor(), known)
}()

func shapeOf(d protoreflect.MessageDescriptor, known map[protoreflect.FullName]*shape) *shape {
	if s, ok := known[d.FullName()]; ok {
		return s
	}
	s := &shape{name: string(d.Name()), unknown: ledgerv1.Code_CODE_UNKNOWN_FIELD}
	if d.FullName() == (&ledgerv1.Operation{}).ProtoReflect().Descriptor().FullName() {
		s.unknown = ledgerv1.Code_CODE_UNKNOWN_OPERATION // its members are the kinds of operations
	}
	known[d.FullName()] = s
	bit := uint64(1)
	oneofs := map[protoreflect.Name]uint64{}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := field{name: fd.Name(), position: fd.Number()}
		if fd.Cardinality() != protoreflect.Repeated {
			f.once = bit
			if group := fd.ContainingOneof(); group != nil && oneofs[group.Name()] != 0 {
				f.once = oneofs[group.Name()]
			} else {
				if group != nil {
					oneofs[group.Name()] = bit
				}
				bit <<= 1
			}
		}
		switch fd.Kind() {
		case protoreflect.MessageKind:
			f.wire, f.message = protowire.BytesType, shapeOf(fd.Message(), known)
		case protoreflect.StringKind:
			f.wire, f.text = protowire.BytesType, true
		case protoreflect.BytesKind:
			f.wire = protowire.BytesType
		case protoreflect.BoolKind:
			f.wire, f.limit = protowire.VarintType, 1
		case protoreflect.EnumKind:
			f.wire, f.limit = protowire.VarintType, math.MaxInt32
		case protoreflect.Uint32Kind:
			f.wire, f.limit = protowire.VarintType, math.MaxUint32
		case protoreflect.Int32Kind:
			f.wire, f.limit, f.signed32 = protowire.VarintType, math.MaxInt32, true
		case protoreflect.Uint64Kind, protoreflect.Int64Kind:
			f.wire, f.limit = protowire.VarintType, math.MaxUint64
		default:
			f.wire = refused // the test of the schema finds it
		}
		for len(s.fields) <= int(fd.Number()) {
			s.fields = append(s.fields, field{})
		}
		s.fields[fd.Number()] = f
	}
	return s
}

// check refuses everything in b that an encoder of this schema would not have written. The order of fields is free, as it
// is in protobuf, and a default may be written out. Parts counts down what is left of [MaxParts].
func (s *shape) check(b []byte, depth int, parts *int) error {
	if depth == 0 {
		return Reject(ledgerv1.Code_CODE_MALFORMED, "the transaction nests messages too deep")
	}
	var seen uint64
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 || n != protowire.SizeTag(number) {
			return Reject(ledgerv1.Code_CODE_MALFORMED, "the bytes of %s are cut off or no protobuf: encode an althing.ledger.v1.Tx", s.name)
		}
		b = b[n:]
		if int(number) >= len(s.fields) || s.fields[number].position == 0 {
			return Reject(s.unknown, "%s has no field %d in this version: remove it, or use a node that knows it", s.name, number)
		}
		f := &s.fields[number]
		if wire != f.wire {
			return Reject(ledgerv1.Code_CODE_MALFORMED, "field %s of %s has the wrong wire type", f.name, s.name)
		}
		if f.once != 0 {
			if seen&f.once != 0 {
				return Reject(ledgerv1.Code_CODE_REPEATED_FIELD, "field %s of %s stands twice, or beside another member of its oneof",
					f.name, s.name)
			}
			seen |= f.once
		}
		if f.once == 0 || f.message != nil {
			if *parts--; *parts < 0 {
				return Reject(ledgerv1.Code_CODE_TOO_LARGE, "the transaction has more than %d parts: split it", MaxParts)
			}
		}
		n, err := s.value(f, b, depth, parts)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// value checks the value of a field at the beginning of b and returns its length.
func (s *shape) value(f *field, b []byte, depth int, parts *int) (int, error) {
	number, prefix := protowire.ConsumeVarint(b)
	if prefix < 0 || prefix != protowire.SizeVarint(number) {
		return 0, Reject(ledgerv1.Code_CODE_MALFORMED, "field %s of %s is cut off, or its varint is longer than it has to be", f.name, s.name)
	}
	if f.wire == protowire.VarintType {
		negative := f.signed32 && int64(number) < 0 && int64(number) >= math.MinInt32
		if number > f.limit && !negative {
			return 0, Reject(ledgerv1.Code_CODE_MALFORMED, "field %s of %s is no number of its type", f.name, s.name)
		}
		return prefix, nil
	}
	if number > uint64(len(b)-prefix) {
		return 0, Reject(ledgerv1.Code_CODE_MALFORMED, "field %s of %s is cut off", f.name, s.name)
	}
	n := prefix + int(number)
	content := b[prefix:n]
	if f.text && !utf8.Valid(content) {
		return 0, Reject(ledgerv1.Code_CODE_MALFORMED, "field %s of %s is not UTF-8", f.name, s.name)
	}
	if f.message != nil {
		return n, f.message.check(content, depth-1, parts)
	}
	return n, nil
}
