package amount

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const largest = "340282366920938463463374607431768211455"

func draw(t *rapid.T, label string) Amount {
	return Amount{hi: rapid.Uint64().Draw(t, label+" hi"), lo: rapid.Uint64().Draw(t, label+" lo")}
}

func (a Amount) big() *big.Int {
	return new(big.Int).Or(new(big.Int).Lsh(new(big.Int).SetUint64(a.hi), 64), new(big.Int).SetUint64(a.lo))
}

func TestAgreesWithBig(t *testing.T) {
	t.Parallel()
	limit := new(big.Int).Lsh(big.NewInt(1), 128)
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		if a.String() != a.big().String() {
			t.Fatalf("String: %s, want %s", a, a.big())
		}
		if back, err := Parse(a.String()); err != nil || back != a {
			t.Fatalf("Parse(%s) = %s, %v", a, back, err)
		}
		if Decode(a.Append(nil)) != a {
			t.Fatal("Append and Decode disagree")
		}
		if a.Cmp(b) != a.big().Cmp(b.big()) {
			t.Fatal("Cmp")
		}
		sum, ok := a.Add(b)
		if want := new(big.Int).Add(a.big(), b.big()); ok != (want.Cmp(limit) < 0) || (ok && sum.big().Cmp(want) != 0) {
			t.Fatalf("%s + %s = %s, %v", a, b, sum, ok)
		}
		diff, ok := a.Sub(b)
		if want := new(big.Int).Sub(a.big(), b.big()); ok != (want.Sign() >= 0) || (ok && diff.big().Cmp(want) != 0) {
			t.Fatalf("%s - %s = %s, %v", a, b, diff, ok)
		}
		decimals := uint32(rapid.IntRange(0, MaxDecimals).Draw(t, "decimals"))
		if back, err := ParseDecimal(a.Format(decimals), decimals); err != nil || back != a {
			t.Fatalf("ParseDecimal(%s, %d) = %s, %v", a.Format(decimals), decimals, back, err)
		}
	})
}

func TestParse(t *testing.T) {
	t.Parallel()
	if a, err := Parse(largest); err != nil || a != (Amount{^uint64(0), ^uint64(0)}) {
		t.Fatalf("Parse(2^128-1) = %v, %v", a, err)
	}
	if _, err := Parse("340282366920938463463374607431768211456"); !errors.Is(err, ErrRange) {
		t.Errorf("Parse(2^128) = %v", err)
	}
	if _, err := Parse("999999999999999999999999999999999999999"); !errors.Is(err, ErrRange) {
		t.Errorf("Parse(10^39-1) = %v", err)
	}
	for _, s := range []string{"", "-1", "+1", "01", "00", "1.0", "1e3", " 1", "1 ", "0x1", "١", largest + "0"} {
		if _, err := Parse(s); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%q) = %v, want ErrSyntax", s, err)
		}
	}
}

func TestDecimal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in       string
		decimals uint32
		want     string
	}{{"12.5", 2, "12.50"}, {"12", 2, "12.00"}, {"0.01", 2, "0.01"}, {"007.10", 2, "7.10"}, {"7", 0, "7"}, {"0.000000000000000001", 18, "0.000000000000000001"}} {
		a, err := ParseDecimal(c.in, c.decimals)
		if err != nil || a.Format(c.decimals) != c.want {
			t.Errorf("ParseDecimal(%q, %d) = %s, %v, want %s", c.in, c.decimals, a.Format(c.decimals), err, c.want)
		}
	}
	for _, s := range []string{"", ".", ".5", "5.", "1.2.3", "-1", "1,5", "1e2"} {
		if _, err := ParseDecimal(s, 2); !errors.Is(err, ErrSyntax) {
			t.Errorf("ParseDecimal(%q) = %v, want ErrSyntax", s, err)
		}
	}
	if _, err := ParseDecimal("1.234", 2); !errors.Is(err, ErrRange) {
		t.Errorf("three digits of two: %v", err)
	}
	for _, s := range []string{largest, "9" + strings.Repeat("0", 60)} {
		if _, err := ParseDecimal(s, 2); !errors.Is(err, ErrRange) || !strings.Contains(err.Error(), s[:30]) || strings.Contains(err.Error(), largest+"00") {
			t.Errorf("ParseDecimal(%s) = %v, want what was written and ErrRange", s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "1", largest, "12.50", "0.1", "", "99999999999999999999999999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := Parse(s); err == nil && a.String() != s {
			t.Errorf("Parse(%q) prints %q", s, a)
		}
		if a, err := ParseDecimal(s, 6); err == nil {
			if back, err := ParseDecimal(a.Format(6), 6); err != nil || back != a {
				t.Errorf("ParseDecimal(%q) does not survive Format", s)
			}
		}
	})
}
