// Package amount owns the numbers of the ledger: unsigned 128-bit counts of base units, their decimal form on the wire,
// and their form with a decimal point, which is how people see them.
package amount

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// MaxDecimals is the largest number of digits an asset may have behind the point.
const MaxDecimals = 18

// Size is the length of an encoded amount in bytes.
const Size = 16

// maxDigits is the number of decimal digits of the largest amount, 2^128-1.
const maxDigits = 39

var (
	// ErrSyntax is returned when a text is no number in the form asked for.
	ErrSyntax = errors.New("not an amount")
	// ErrRange is returned when a number needs more than 128 bits or more digits behind the point than the asset has.
	ErrRange = errors.New("amount out of range")
)

// Amount is a number of base units from 0 to 2^128-1. The zero value is zero.
type Amount struct{ hi, lo uint64 }

// New returns n base units.
func New(n uint64) Amount { return Amount{lo: n} }

// IsZero reports whether a is zero.
func (a Amount) IsZero() bool { return a == Amount{} }

// Cmp returns -1, 0 or 1 as a is less than, equal to or greater than b.
func (a Amount) Cmp(b Amount) int {
	switch {
	case a == b:
		return 0
	case a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo):
		return -1
	default:
		return 1
	}
}

// Add returns a+b, and false when the sum leaves the range.
func (a Amount) Add(b Amount) (Amount, bool) {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, carry := bits.Add64(a.hi, b.hi, carry)
	return Amount{hi, lo}, carry == 0
}

// Sub returns a-b, and false when b is greater than a.
func (a Amount) Sub(b Amount) (Amount, bool) {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, borrow := bits.Sub64(a.hi, b.hi, borrow)
	return Amount{hi, lo}, borrow == 0
}

// Append appends the 16 bytes of a, big endian.
func (a Amount) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, a.hi)
	return binary.BigEndian.AppendUint64(b, a.lo)
}

// Decode reads the 16 bytes that [Amount.Append] wrote. It panics when b is shorter.
func Decode(b []byte) Amount {
	return Amount{hi: binary.BigEndian.Uint64(b), lo: binary.BigEndian.Uint64(b[8:])}
}

// Parse reads the form of the wire: decimal digits without sign, point or leading zeros.
func Parse(s string) (Amount, error) {
	if s == "" || len(s) > maxDigits || (s[0] == '0' && len(s) > 1) {
		return Amount{}, fmt.Errorf("%w: %.60q is not a decimal number of base units without sign or leading zeros", ErrSyntax, s)
	}
	return digits(s)
}

func digits(s string) (Amount, error) {
	var a Amount
	for i := 0; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return Amount{}, fmt.Errorf("%w: %.60q has other characters than digits", ErrSyntax, s)
		}
		carry, lo := bits.Mul64(a.lo, 10)
		over, hi := bits.Mul64(a.hi, 10)
		hi, c1 := bits.Add64(hi, carry, 0)
		lo, c2 := bits.Add64(lo, uint64(d), 0)
		hi, c3 := bits.Add64(hi, 0, c2)
		if over != 0 || c1 != 0 || c3 != 0 {
			return Amount{}, fmt.Errorf("%w: %.60s is more than 2^128-1", ErrRange, s)
		}
		a = Amount{hi, lo}
	}
	return a, nil
}

// String returns the form of the wire.
func (a Amount) String() string {
	var buf [maxDigits]byte
	i := len(buf)
	for {
		var r uint64
		hi := a.hi / 10
		a.lo, r = bits.Div64(a.hi%10, a.lo, 10)
		a.hi = hi
		i--
		buf[i] = byte('0' + r)
		if a.IsZero() {
			return string(buf[i:])
		}
	}
}

// ParseDecimal reads what people write, with up to decimals digits behind the point: with two decimals `12`, `12.5` and
// `12.50` are the same.
func ParseDecimal(s string, decimals uint32) (Amount, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || (point && fraction == "") || !allDigits(whole) || !allDigits(fraction) {
		return Amount{}, fmt.Errorf("%w: %.60q; write digits and at most one point, like 12.50", ErrSyntax, s)
	}
	if len(fraction) > int(decimals) {
		return Amount{}, fmt.Errorf("%w: %.60s has more than %d digits behind the point", ErrRange, s, decimals)
	}
	a, err := digits(whole + fraction + strings.Repeat("0", int(decimals)-len(fraction)))
	if err != nil {
		return Amount{}, fmt.Errorf("%w: %.60s is too large: the most is 2^128-1 of the smallest unit", ErrRange, s)
	}
	return a, nil
}

func allDigits(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < '0' || c > '9' }) < 0
}

// Format returns a with exactly decimals digits behind the point, and without a point when decimals is 0.
func (a Amount) Format(decimals uint32) string {
	s := a.String()
	if decimals == 0 {
		return s
	}
	if missing := int(decimals) + 1 - len(s); missing > 0 {
		s = strings.Repeat("0", missing) + s
	}
	point := len(s) - int(decimals)
	return s[:point] + "." + s[point:]
}
