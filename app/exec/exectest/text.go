package exectest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/althing-ledger/althing/app/exec"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Text is an outcome in a transcript: the events, or the code and what people are told.
func (w *World) Text(out Outcome) string {
	if out.Err != nil {
		code, _ := tx.CodeOf(out.Err)
		verb := "rejected"
		if code < 100 {
			verb = "refused"
		}
		return fmt.Sprintf("%s %s: %v", verb, tx.Reason(code), out.Err)
	}
	var lines []string
	for _, event := range out.Events {
		m := event.ProtoReflect()
		kind := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
		lines = append(lines, fmt.Sprintf("%d: %s %s", w.Height, kind.Name(), w.message(m.Get(kind).Message())))
	}
	return strings.Join(lines, "\n")
}

// Message is a message in a transcript: its fields that are set, in the order of their numbers.
func (w *World) Message(m proto.Message) string { return w.message(m.ProtoReflect()) }

func (w *World) message(m protoreflect.Message) string {
	var parts []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		text := ""
		if fd.IsList() {
			var items []string
			for j := range m.Get(fd).List().Len() {
				items = append(items, w.value(fd, m.Get(fd).List().Get(j)))
			}
			text = "[" + strings.Join(items, ", ") + "]"
		} else {
			text = w.value(fd, m.Get(fd))
		}
		parts = append(parts, string(fd.Name())+"="+text)
	}
	return strings.Join(parts, " ")
}

func (w *World) value(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch {
	case fd.Kind() == protoreflect.MessageKind && fd.Message().Name() == "PublicKey":
		return w.bytes(v.Message().Get(fd.Message().Fields().ByName("key")).Bytes())
	case fd.Kind() == protoreflect.MessageKind && fd.Message().Name() == "WeightedKey":
		fields := fd.Message().Fields()
		key := v.Message().Get(fields.ByName("public_key")).Message().Interface().(*keysv1.PublicKey)
		return w.bytes(key.Key) + "*" + v.Message().Get(fields.ByName("weight")).String()
	case fd.Kind() == protoreflect.MessageKind:
		return "{" + w.message(v.Message()) + "}"
	case fd.Kind() == protoreflect.BytesKind:
		return w.bytes(v.Bytes())
	case fd.Kind() == protoreflect.EnumKind:
		return string(fd.Enum().Values().ByNumber(v.Enum()).Name())
	case strings.HasSuffix(string(fd.Name()), "_unix_nano"):
		return time.Unix(0, v.Int()).UTC().Format(time.RFC3339Nano)
	default:
		return v.String()
	}
}

// bytes is the name of the bytes, or their beginning.
func (w *World) bytes(b []byte) string {
	if name, ok := w.names[string(b)]; ok {
		return name
	}
	if len(b) > 8 {
		return hex.EncodeToString(b[:4]) + "..."
	}
	return hex.EncodeToString(b)
}

// Leaves is the part of the state under a prefix in a transcript, a line for each key.
func (w *World) Leaves(t testing.TB, prefix byte, show func(key, value []byte) (string, error)) string {
	t.Helper()
	var lines []string
	start, end := keyspace.PrefixRange([]byte{prefix})
	err := w.State.Scan(start, end, func(key, value []byte) (bool, error) {
		text, err := show(key, value)
		lines = append(lines, text)
		return true, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 {
		return "nothing"
	}
	return strings.Join(lines, "\n")
}

// Messages returns a function for [World.Leaves] that shows values that are messages like m, which it overwrites.
func (w *World) Messages(m interface {
	exec.Message
	proto.Message
}) func(key, value []byte) (string, error) {
	return func(_, value []byte) (string, error) {
		proto.Reset(m)
		if err := exec.Decode(value, m); err != nil {
			return "", err
		}
		return w.Message(m), nil
	}
}

// Arg returns the value of an argument of a line of a transcript, "" if it is absent.
func Arg(d *datadriven.TestData, name string) string {
	if arg, ok := d.Arg(name); ok && len(arg.Vals) == 1 {
		return arg.Vals[0]
	}
	return ""
}

// Args returns the values of an argument in parentheses, none if it is absent.
func Args(d *datadriven.TestData, name string) []string {
	arg, _ := d.Arg(name)
	return arg.Vals
}

// Number returns the value of an argument that is a number, 0 if it is absent.
func Number(t testing.TB, d *datadriven.TestData, name string) uint64 {
	t.Helper()
	text := Arg(d, name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		d.Fatalf(t, "%s: %v", name, err)
	}
	return n
}
