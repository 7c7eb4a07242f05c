package cursor

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Position{
		"1":                   Block(1),
		"9223372036854775807": Block(1<<63 - 1),
		"7.1":                 AfterTransaction(7, 0),
		"7.0.1":               AfterEvent(7, 0, 0),
		"7.12.3":              AfterEvent(7, 12, 2),
	} {
		got, err := Parse(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "0", "0.1", "-1", "+1", "01", "1.", ".1", "1.0", "1.0.0", "1.2.0", "1.02", "1.1.1.1", "1 ", "1,1", "x",
		"9223372036854775808", "1.4294967296", "1.4294967295", "1.0.4294967295", strings.Repeat("9", 1000), "1" + strings.Repeat(".1", 1000),
	} {
		got, err := Parse(text)
		if bad := new(Error); !errors.As(err, &bad) || got != (Position{}) || len(bad.Error()) > 200 {
			t.Errorf("%.40q: %v %v", text, got, err)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	want := []Position{{}, Block(1), AfterEvent(1, 0, 0), AfterEvent(1, 0, 1), AfterTransaction(1, 0), AfterEvent(1, 1, 0), Block(2)}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Position.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("12.3.4")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := Parse(text); err == nil && p.String() != text {
			t.Fatalf("%q is read as %v", text, p)
		}
	})
}
