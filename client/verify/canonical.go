package verify

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// noUnknown refuses fields that this version does not know, at every depth: they would be bytes that nothing binds.
func noUnknown(m protoreflect.Message) error {
	if len(m.GetUnknown()) > 0 {
		return errorf(ErrNotCanonical, "%s has fields that this version does not know", m.Descriptor().Name())
	}
	var err error
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				if err = noUnknown(value.List().Get(i).Message()); err != nil {
					return false
				}
			}
		default:
			err = noUnknown(value.Message())
		}
		return err == nil
	})
	return err
}

// vtMessage is a generated message of ours.
type vtMessage interface {
	UnmarshalVT([]byte) error
	MarshalVTStrict() ([]byte, error)
	ProtoReflect() protoreflect.Message
}

// decodeStrict decodes the one encoding of a message of ours.
func decodeStrict(raw []byte, m vtMessage, what string) error {
	if err := m.UnmarshalVT(raw); err != nil {
		return errorf(ErrMalformed, "%s: %v", what, err)
	}
	if err := noUnknown(m.ProtoReflect()); err != nil {
		return err
	}
	again, err := m.MarshalVTStrict()
	if err != nil {
		return errorf(ErrMalformed, "%s: %v", what, err)
	}
	if !bytes.Equal(again, raw) {
		return errorf(ErrNotCanonical, "%s", what)
	}
	return nil
}

// partSize is less than what any message or element of a list takes in a proof. A file with more parts than that is refused
// before it is decoded: two bytes on the wire can become a hundred in memory.
const partSize = 24

// fewParts refuses bytes that have more messages and elements of lists than their length allows an honest proof.
func fewParts(raw []byte, d protoreflect.MessageDescriptor) error {
	parts := 64 + len(raw)/partSize
	return countParts(raw, d, &parts, 16)
}

func countParts(raw []byte, d protoreflect.MessageDescriptor, parts *int, depth int) error {
	if depth == 0 {
		return errorf(ErrMalformed, "%s nests too deep", d.Name())
	}
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return errorf(ErrMalformed, "%s: %v", d.Name(), protowire.ParseError(n))
		}
		raw = raw[n:]
		size := protowire.ConsumeFieldValue(number, kind, raw)
		if size < 0 {
			return errorf(ErrMalformed, "%s: %v", d.Name(), protowire.ParseError(size))
		}
		field := d.Fields().ByNumber(number)
		if field != nil && (field.IsList() || field.Message() != nil) {
			if *parts--; *parts < 0 {
				return errorf(ErrTooLarge, "it has more parts than its length allows")
			}
			if field.Message() != nil && kind == protowire.BytesType {
				value, _ := protowire.ConsumeBytes(raw)
				if err := countParts(value, field.Message(), parts, depth-1); err != nil {
					return err
				}
			}
		}
		raw = raw[size:]
	}
	return nil
}
