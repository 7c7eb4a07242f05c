package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
)

// timeFormat is how times are printed, in UTC.
const timeFormat = time.RFC3339Nano

// object is a JSON object that keeps its order.
type object []field

type field struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, err
		}
		value, err := encodeJSON(f.value, "")
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(bytes.TrimSpace(value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marked is a value that is printed as a JSON object, and whether all that it says is proven.
type marked struct {
	value    any
	verified bool
}

func (m marked) MarshalJSON() ([]byte, error) {
	data, err := encodeJSON(m.value, "")
	if err != nil {
		return nil, err
	}
	before, isObject := bytes.CutSuffix(bytes.TrimSpace(data), []byte("}"))
	if !isObject {
		return nil, fmt.Errorf("encode the output: a %T is no object to mark", m.value)
	}
	if len(before) > 1 {
		before = append(before, ',')
	}
	return fmt.Appendf(before, `"verified":%v}`, m.verified), nil
}

// isAmount reports whether a field of package althing.assets.v1 counts base units.
func isAmount(name protoreflect.Name) bool {
	switch name {
	case "amount", "balance", "held", "cap", "supply", "balances", "holds":
		return true
	default:
		return false
	}
}

// render turns a message into JSON for people and scripts: names as in the .proto files, numbers as numbers, bytes and ids
// as hex digits, times as RFC 3339, keys as `scheme:hex`, amounts with the decimals of their asset. An amount whose
// decimals cannot be known stands under a name that ends in _base_units.
func (u *units) render(ctx context.Context, message proto.Message) object {
	m := message.ProtoReflect()
	var out object
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		name := fd.Name()
		if fd.HasPresence() && !m.Has(fd) {
			continue
		}
		if oneof := fd.ContainingOneof(); oneof != nil && oneof.Name() == "kind" {
			out = append(out, field{"kind", string(name)}, field{"details", u.render(ctx, m.Get(fd).Message().Interface())})
			continue
		}
		if fd.Kind() == protoreflect.StringKind && !fd.IsList() && isAmount(name) && m.Get(fd).String() != "" {
			text, known := u.format(ctx, assetOf(m), m.Get(fd).String())
			if !known {
				name += "_base_units"
			}
			out = append(out, field{string(name), text})
			continue
		}
		if base, isTime := strings.CutSuffix(string(name), "_unix_nano"); isTime {
			out = append(out, field{base, time.Unix(0, m.Get(fd).Int()).UTC().Format(timeFormat)})
			continue
		}
		out = append(out, field{string(name), u.renderField(ctx, fd, m.Get(fd))})
	}
	return out
}

// assetOf returns the asset whose base units the amounts of a message count.
func assetOf(m protoreflect.Message) string {
	for _, name := range []protoreflect.Name{"asset", "name"} {
		if fd := m.Descriptor().Fields().ByName(name); fd != nil && fd.Kind() == protoreflect.StringKind {
			return m.Get(fd).String()
		}
	}
	return ""
}

func (u *units) renderField(ctx context.Context, fd protoreflect.FieldDescriptor, v protoreflect.Value) any {
	if fd.IsList() {
		list := []any{}
		for i := range v.List().Len() {
			list = append(list, u.renderValue(ctx, fd, v.List().Get(i)))
		}
		return list
	}
	return u.renderValue(ctx, fd, v)
}

func (u *units) renderValue(ctx context.Context, fd protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch fd.Kind() {
	case protoreflect.BytesKind:
		if fd.Name() == "data" {
			return base64.StdEncoding.EncodeToString(v.Bytes())
		}
		return hex.EncodeToString(v.Bytes())
	case protoreflect.EnumKind:
		return enumText(fd.Enum(), v.Enum())
	case protoreflect.MessageKind:
		switch m := v.Message().Interface().(type) {
		case *timestamppb.Timestamp:
			return m.AsTime().UTC().Format(timeFormat)
		case *keysv1.PublicKey:
			return keyText(m)
		default:
			return u.render(ctx, m)
		}
	default:
		return v.Interface()
	}
}

// enumText returns the name of an enum's value without the prefix that all of them have: `active`.
func enumText(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) any {
	value, zero := enum.Values().ByNumber(number), enum.Values().ByNumber(0)
	if value == nil || zero == nil {
		return int32(number)
	}
	prefix := strings.TrimSuffix(string(zero.Name()), "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix))
}

// keyText returns a key as people write it: `schnorr:hex`.
func keyText(k *keysv1.PublicKey) string {
	return keys.Scheme(k.GetScheme()).String() + ":" + hex.EncodeToString(k.GetKey())
}

// parseKey reads a key as keyText writes it.
func parseKey(text string) (*keysv1.PublicKey, error) {
	public, err := keys.ParsePublicKeyText(text)
	if err != nil {
		return nil, usagef("%.90q: %w", text, err)
	}
	return wireKey(public), nil
}

func wireKey(public keys.PublicKey) *keysv1.PublicKey {
	return &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(public.Scheme()), Key: public.Bytes()}
}
