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

// A shape is what a message may contain, read once from its descriptor.
type shape struct {
	name   string
	fields []field // by number; number 0 marks a hole
}

type field struct {
	name     protoreflect.Name
	wire     protowire.Type
	limit    uint64 // largest varint
	once     uint64 // bit that a singular field sets; members of one oneof share it; 0 for a repeated field
	text     bool
	message  *shape
	position protowire.Number
}

var txShape, bodyShape = func() (*shape, *shape) {
	known := map[protoreflect.FullName]*shape{}
	return shapeOf((&ledgerv1.Tx{}).ProtoReflect().Descriptor(), known), shapeOf((&ledgerv1.Body{}).ProtoReflect().Descriptor(), known)
}()

func shapeOf(d protoreflect.MessageDescriptor, known map[protoreflect.FullName]*shape) *shape {
	if s, ok := known[d.FullName()]; ok {
		return s
	}
	s := &shape{name: string(d.Name())}
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
		default:
			f.wire, f.limit = protowire.VarintType, math.MaxUint64
		}
		for len(s.fields) <= int(fd.Number()) {
			s.fields = append(s.fields, field{})
		}
		s.fields[fd.Number()] = f
	}
	return s
}

// check refuses everything in b that an encoder of this schema would not have written.
func (s *shape) check(b []byte, depth int) error {
	if depth == 0 {
		return Reject(ledgerv1.Code_CODE_MALFORMED, "the transaction nests messages too deep")
	}
	var seen uint64
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return Reject(ledgerv1.Code_CODE_MALFORMED, "the bytes of %s are cut off or no protobuf: encode an althing.ledger.v1.Tx", s.name)
		}
		b = b[n:]
		if int(number) >= len(s.fields) || s.fields[number].position == 0 {
			return Reject(ledgerv1.Code_CODE_UNKNOWN_FIELD, "%s has no field %d in this version: remove it, or use a node that knows it", s.name, number)
		}
		f := &s.fields[number]
		if wire != f.wire {
			return Reject(ledgerv1.Code_CODE_MALFORMED, "field %s of %s has the wrong wire type", f.name, s.name)
		}
		if f.once != 0 {
			if seen&f.once != 0 {
				return Reject(ledgerv1.Code_CODE_REPEATED_FIELD, "field %s of %s stands twice, or beside another member of its oneof", f.name, s.name)
			}
			seen |= f.once
		}
		if wire == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 || v > f.limit {
				return Reject(ledgerv1.Code_CODE_MALFORMED, "field %s of %s is no number of its type", f.name, s.name)
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return Reject(ledgerv1.Code_CODE_MALFORMED, "field %s of %s is cut off", f.name, s.name)
		}
		if f.text && !utf8.Valid(v) {
			return Reject(ledgerv1.Code_CODE_MALFORMED, "field %s of %s is not UTF-8", f.name, s.name)
		}
		if f.message != nil {
			if err := f.message.check(v, depth-1); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}
