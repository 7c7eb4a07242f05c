package clienttest

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxInside is how many changes are made inside one field of bytes that hold an encoded message.
const maxInside = 48

// UnknownField is what a [Mutation] does that adds a field which no version has.
const UnknownField = "an unknown field"

// Mutation is one small change of a message.
type Mutation struct {
	// Field is the path of what is changed, as in `holdings[0].balance`, without what is inside of bytes.
	Field string
	// How says what is done to it, for people.
	How string

	steps  []step
	change func(protoreflect.Message)
}

func (m Mutation) String() string { return m.Field + ": " + m.How }

// Of returns a changed copy of the message. It may be another message than the one that the mutation was made for, where it has
// what is changed; the result is nil where it does not.
func (m Mutation) Of(message proto.Message) proto.Message {
	changed := proto.Clone(message)
	at := changed.ProtoReflect()
	for _, s := range m.steps {
		if !at.Has(s.field) {
			return nil
		}
		value := at.Mutable(s.field)
		switch {
		case !s.field.IsList():
			at = value.Message()
		case s.index < value.List().Len():
			at = value.List().Get(s.index).Message()
		default:
			return nil
		}
	}
	m.change(at)
	return changed
}

// step leads from a message to one inside of it.
type step struct {
	field protoreflect.FieldDescriptor
	index int // in a list
}

// Mutations returns every kind of small change to every field of a message and of all messages in it, of lists to the first and
// the last entry: other values, missing and surplus ones, dropped, doubled and exchanged entries, bits inside of encoded
// messages, fields that nobody knows.
func Mutations(message proto.Message) []Mutation {
	c := new(collector)
	c.message(message.ProtoReflect(), "", nil)
	return c.found
}

type collector struct{ found []Mutation }

func (c *collector) add(path, how string, steps []step, change func(protoreflect.Message)) {
	c.found = append(c.found, Mutation{Field: path, How: how, steps: slices.Clone(steps), change: change})
}

func (c *collector) message(m protoreflect.Message, path string, steps []step) {
	name := func(field protoreflect.FieldDescriptor) string {
		if path == "" {
			return string(field.Name())
		}
		return path + "." + string(field.Name())
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := name(field)
		if m.Has(field) {
			c.add(at, "left out", steps, func(m protoreflect.Message) { m.Clear(field) })
		}
		switch {
		case field.IsList():
			c.list(m, field, at, steps)
		case field.Message() != nil && m.Has(field):
			c.message(m.Get(field).Message(), at, append(steps, step{field: field}))
		case field.Message() != nil:
			c.add(at, "put in, empty", steps, func(m protoreflect.Message) { m.Set(field, m.NewField(field)) })
		default:
			for how, value := range others(field, m.Get(field)) {
				c.add(at, how, steps, func(m protoreflect.Message) { m.Set(field, value) })
			}
		}
	}
	c.add(path, UnknownField, steps, func(m protoreflect.Message) {
		m.SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 12345, protowire.VarintType), 1))
	})
}

func (c *collector) list(m protoreflect.Message, field protoreflect.FieldDescriptor, path string, steps []step) {
	list := m.Get(field).List()
	change := func(how string, do func(protoreflect.List) []protoreflect.Value) {
		c.add(path, how, steps, func(m protoreflect.Message) {
			values := do(m.Get(field).List())
			m.Clear(field)
			for _, v := range values {
				m.Mutable(field).List().Append(v)
			}
		})
	}
	count := list.Len()
	if count == 0 {
		change("an entry where there is none", func(l protoreflect.List) []protoreflect.Value { return []protoreflect.Value{l.NewElement()} })
		return
	}
	if count > 1 {
		change("without the first", func(l protoreflect.List) []protoreflect.Value { return entries(l)[1:] })
		change("without the last", func(l protoreflect.List) []protoreflect.Value { return entries(l)[:l.Len()-1] })
		if !list.Get(0).Equal(list.Get(1)) {
			change("the first two exchanged", func(l protoreflect.List) []protoreflect.Value {
				all := entries(l)
				all[0], all[1] = all[1], all[0]
				return all
			})
		}
	}
	change("the last twice", func(l protoreflect.List) []protoreflect.Value { return append(entries(l), l.Get(l.Len()-1)) })
	for _, index := range slices.Compact([]int{0, count - 1}) {
		at := fmt.Sprintf("%s[%d]", path, index)
		if field.Message() != nil {
			c.message(list.Get(index).Message(), at, append(steps, step{field, index}))
			continue
		}
		for how, value := range others(field, list.Get(index)) {
			c.add(at, how, steps, func(m protoreflect.Message) { m.Mutable(field).List().Set(index, value) })
		}
	}
}

func entries(l protoreflect.List) []protoreflect.Value {
	var all []protoreflect.Value
	for i := range l.Len() {
		all = append(all, l.Get(i))
	}
	return all
}

// others returns values of a field that are not the given one, by what they are.
func others(field protoreflect.FieldDescriptor, value protoreflect.Value) map[string]protoreflect.Value {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return map[string]protoreflect.Value{"the opposite": protoreflect.ValueOfBool(!value.Bool())}
	case protoreflect.EnumKind:
		return map[string]protoreflect.Value{"the next": protoreflect.ValueOfEnum(value.Enum() + 1)}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return map[string]protoreflect.Value{"one more": protoreflect.ValueOfInt32(int32(value.Int()) + 1)}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return map[string]protoreflect.Value{"one more": protoreflect.ValueOfInt64(value.Int() + 1)}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return map[string]protoreflect.Value{"one more": protoreflect.ValueOfUint32(uint32(value.Uint()) + 1)}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return map[string]protoreflect.Value{
			"one more": protoreflect.ValueOfUint64(value.Uint() + 1), "one less": protoreflect.ValueOfUint64(value.Uint() - 1),
		}
	case protoreflect.StringKind:
		return map[string]protoreflect.Value{"longer": protoreflect.ValueOfString(value.String() + "0")}
	case protoreflect.BytesKind:
		return otherBytes(value.Bytes())
	default:
		return nil
	}
}

func otherBytes(value []byte) map[string]protoreflect.Value {
	all := map[string]protoreflect.Value{"longer": protoreflect.ValueOfBytes(append(bytes.Clone(value), 0))}
	if len(value) == 0 {
		return all
	}
	all["shorter"] = protoreflect.ValueOfBytes(bytes.Clone(value[:len(value)-1]))
	for what, at := range map[string]int{"first": 0, "middle": len(value) / 2, "last": len(value) - 1} {
		all["a bit of the "+what+" byte"] = protoreflect.ValueOfBytes(flipped(value, at))
	}
	inside := leaves(value, 0)
	for i, at := range inside {
		if i*maxInside/len(inside) != (i+1)*maxInside/len(inside) || len(inside) <= maxInside {
			all[fmt.Sprintf("a bit of byte %d", at)] = protoreflect.ValueOfBytes(flipped(value, at))
		}
	}
	return all
}

func flipped(value []byte, at int) []byte {
	changed := bytes.Clone(value)
	changed[at] ^= 1
	return changed
}

// leaves returns where, in an encoded message, the last byte of each field begins that is no message itself; none for what is
// no encoded message.
func leaves(encoded []byte, offset int) []int {
	var found []int
	for at := 0; at < len(encoded); {
		_, kind, n := protowire.ConsumeTag(encoded[at:])
		if n < 0 {
			return nil
		}
		at += n
		size := protowire.ConsumeFieldValue(1, kind, encoded[at:])
		if size < 0 || kind == protowire.StartGroupType || kind == protowire.EndGroupType {
			return nil
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(encoded[at:])
			begin := at + size - len(value)
			if inner := leaves(value, offset+begin); len(inner) > 0 {
				found = append(found, inner...)
				at += size
				continue
			}
		}
		if size > 0 {
			found = append(found, offset+at+size-1)
		}
		at += size
	}
	return found
}
