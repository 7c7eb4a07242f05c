package queries

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/proto/tx"
)

// An ErrorKind says why an answer cannot be checked.
type ErrorKind string

func (k ErrorKind) Error() string { return string(k) }

// ErrUnknownMethod is returned by [Check] for a method that asks no question of a state.
const ErrUnknownMethod = ErrorKind("the method asks no question of a state")

// MismatchError says that an answer is not what the state says.
type MismatchError struct {
	Method string
	// Field is the first field that differs, as in `holdings[3].balance`. Empty where the state gives no answer at all.
	Field string
	// Answered and Proven are the two values, for people, cut to a few words.
	Answered, Proven string
}

func (e *MismatchError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: the node has answered %s, the state it proves says: %s", e.Method, e.Answered, e.Proven)
	}
	return fmt.Sprintf("%s: the field %s of the answer is %s, by the state that the node proves it is %s", e.Method, e.Field, e.Answered, e.Proven)
}

// Check asks the question of a method again, of a view that the caller trusts, and compares with a node's answer. The proof in
// the answer and the fields that [Query.Unproven] names are not compared, nor are fields that this version does not know, which a
// newer state or a newer node may have: whoever passes an answer on drops them. Everything else is compared.
//
// It returns nil if the answer is what the state says. Where the state does not have what was asked for, and the answer says so,
// it returns a [tx.Rejection] with the code NOT_FOUND: that, too, is what the state says. A [MismatchError] is returned for any
// other answer, also for one of a height that was not asked for; [ErrUnknownMethod] for a method without a question. Other
// errors are those of the view, as when a proof does not hold a key that the question reads.
func Check(view exec.View, method string, request, answer proto.Message) error {
	q, ok := Of(method)
	if !ok {
		return fmt.Errorf("%s: %w", method, ErrUnknownMethod)
	}
	if want := q.answer().ProtoReflect().Descriptor(); answer.ProtoReflect().Descriptor() != want {
		return fmt.Errorf("%s answers with %s, not with a %T", method, want.FullName(), answer)
	}
	proven, absent, err := q.Ask(view, request)
	var rejection *tx.Rejection
	switch {
	case errors.As(err, &rejection):
		return &MismatchError{Method: method, Answered: "a question that breaks a rule", Proven: rejection.Text}
	case err != nil:
		return fmt.Errorf("ask %s again: %w", method, err)
	}
	if err := checkHeight(method, request, view.Height()); err != nil {
		return err
	}
	got, want := answer.ProtoReflect(), proven.ProtoReflect()
	adopt(want, got, "proof")
	if absent == nil {
		for _, path := range q.Unproven {
			adopt(want, got, path)
		}
	}
	if d := compare(got, want, ""); d != nil {
		d.Method = method
		return d
	}
	if absent != nil {
		return absent
	}
	return nil
}

// checkHeight refuses the state of a height that the request does not ask for.
func checkHeight(method string, request proto.Message, height uint64) error {
	r := request.ProtoReflect()
	exact, least := heightIn(r, "height"), heightIn(r, "min_height")
	switch {
	case exact != 0 && exact != height:
		return &MismatchError{Method: method, Field: "height", Answered: fmt.Sprint(height), Proven: fmt.Sprintf("to be %d", exact)}
	case height < least:
		return &MismatchError{Method: method, Field: "height", Answered: fmt.Sprint(height), Proven: fmt.Sprintf("to be at least %d", least)}
	}
	return nil
}

func heightIn(m protoreflect.Message, name protoreflect.Name) uint64 {
	return m.Get(m.Descriptor().Fields().ByName(name)).Uint()
}

func setHeight(answer proto.Message, height uint64) {
	m := answer.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName("height"), protoreflect.ValueOfUint64(height))
}

// adopt makes a field of want, or that field of every entry of a list, what it is in got. An entry that only one of them has is
// left to the comparison.
func adopt(want, got protoreflect.Message, path string) {
	name, rest, deeper := strings.Cut(path, ".")
	field := want.Descriptor().Fields().ByName(protoreflect.Name(name))
	switch {
	case !deeper && got.Has(field):
		want.Set(field, got.Get(field))
	case !deeper:
		want.Clear(field)
	case field.IsList():
		ours, theirs := want.Get(field).List(), got.Get(field).List()
		for i := range min(ours.Len(), theirs.Len()) {
			adopt(ours.Get(i).Message(), theirs.Get(i).Message(), rest)
		}
	case want.Has(field) && got.Has(field):
		adopt(want.Get(field).Message(), got.Get(field).Message(), rest)
	}
}

// compare returns the first difference of two messages of one kind, in the order of the fields, or nil.
func compare(got, want protoreflect.Message, at string) *MismatchError {
	fields := want.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		path := at + string(field.Name())
		has := got.Has(field)
		if has != want.Has(field) {
			return differs(path, describe(got, field), describe(want, field))
		}
		if !has {
			continue
		}
		a, b := got.Get(field), want.Get(field)
		switch {
		case field.IsList():
			if d := compareLists(field, a.List(), b.List(), path); d != nil {
				return d
			}
		case field.Message() != nil && !field.IsMap():
			if d := compare(a.Message(), b.Message(), path+"."); d != nil {
				return d
			}
		case !a.Equal(b):
			return differs(path, describe(got, field), describe(want, field))
		}
	}
	return nil
}

func compareLists(field protoreflect.FieldDescriptor, got, want protoreflect.List, path string) *MismatchError {
	for i := range min(got.Len(), want.Len()) {
		at := fmt.Sprintf("%s[%d]", path, i)
		a, b := got.Get(i), want.Get(i)
		if field.Message() != nil {
			if d := compare(a.Message(), b.Message(), at+"."); d != nil {
				return d
			}
		} else if !a.Equal(b) {
			return differs(at, fmt.Sprint(a), fmt.Sprint(b))
		}
	}
	if got.Len() != want.Len() {
		return differs(path, fmt.Sprintf("%d entries", got.Len()), fmt.Sprintf("%d entries", want.Len()))
	}
	return nil
}

// maxWords bounds what an error quotes of a value, in bytes.
const maxWords = 128

func differs(path, got, want string) *MismatchError {
	return &MismatchError{Field: path, Answered: cut(got), Proven: cut(want)}
}

func describe(m protoreflect.Message, field protoreflect.FieldDescriptor) string {
	switch {
	case field.HasPresence() && !m.Has(field):
		return "not set"
	case field.IsList():
		return fmt.Sprintf("%d entries", m.Get(field).List().Len())
	case field.Message() != nil:
		return "set"
	case field.Kind() == protoreflect.BytesKind:
		return fmt.Sprintf("%x", m.Get(field).Bytes())
	}
	return fmt.Sprintf("%q", fmt.Sprint(m.Get(field)))
}

func cut(s string) string {
	if len(s) > maxWords {
		return strings.ToValidUTF8(s[:maxWords], "") + "…"
	}
	return s
}
