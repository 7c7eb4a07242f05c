package membership

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// The tables are about block 10: the sets of 10 and 11 are fixed, that of 12 is being made.
const now = 10

// parseSeats reads seats: `a:10` is a seat of node a with power 10 from height 1 on, `a:10<12` ends with height 12, `a:10>12`
// begins with it, `a:10>11<12` does both. `a'` is node a with another key.
func parseSeats(t *testing.T, text string) *membershipv1.Seats {
	t.Helper()
	seats := new(membershipv1.Seats)
	for _, field := range strings.Fields(text) {
		key, rest, _ := strings.Cut(field, ":")
		seat := &membershipv1.Seat{Node: strings.TrimRight(key, "'"), FromHeight: 1}
		hash := sha256.Sum256([]byte(key))
		seat.ValidatorKey = hash[:]
		number := func(text string) uint64 {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		rest, until, ends := strings.Cut(rest, "<")
		if ends {
			seat.UntilHeight = number(until)
		}
		rest, from, begins := strings.Cut(rest, ">")
		if begins {
			seat.FromHeight = number(from)
		}
		seat.Power = number(rest)
		seats.Seats = append(seats.Seats, seat)
	}
	return seats
}

func TestCheckSuccessors(t *testing.T) {
	t.Parallel()
	const (
		ok   = ledgerv1.Code_CODE_OK
		lost = ledgerv1.Code_CODE_QUORUM_LOST
		full = ledgerv1.Code_CODE_LIMIT_REACHED
	)
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("n%d:10", i))
		}
		return strings.Join(list, " ")
	}
	for name, test := range map[string]struct {
		seats string
		want  ledgerv1.Code
	}{
		"nobody":                       {"", lost},
		"one":                          {"a:10", ok},
		"the last one leaves":          {"a:10<12", lost},
		"all leave":                    {"a:10<12 b:10<12 c:10<12 d:10<12", lost},
		"the last one is replaced":     {"a:10<12 b:10>12", ok},
		"one of four leaves":           {"a:10 b:10 c:10 d:10<12", ok},
		"three of four leave":          {"a:10 b:10<12 c:10<12 d:10<12", ok},
		"second joins one":             {"a:10 b:10>12", ok},
		"three join one":               {"a:10 b:10>12 c:10>12 d:10>12", ok},
		"third joins two":              {"a:10 b:10 c:10>12", ok},
		"fourth joins three":           {"a:10 b:10 c:10 d:10>12", ok},
		"two join three":               {"a:10 b:10 c:10 d:10>12 e:10>12", lost},
		"fifth joins four":             {"a:10 b:10 c:10 d:10 e:10>12", ok},
		"two join four: two thirds":    {"a:10 b:10 c:10 d:10 e:10>12 f:10>12", lost},
		"two join four: less":          {"a:10 b:10 c:10 d:11 e:10>12 f:10>12", ok},
		"two join five":                {"a:10 b:10 c:10 d:10 e:10 f:10>12 g:10>12", ok},
		"one with half of the power":   {"a:10 b:10 c:10 d:30>12", lost},
		"one with all but a third":     {"a:10 b:10 c:10 d:15>12", lost},
		"one with a bit less":          {"a:10 b:10 c:10 d:14>12", ok},
		"who has a seat may rise":      {"a:10<12 b:10 c:10 a:1000>12", ok},
		"a key is rotated":             {"a:10<12 b:10 c:10 a':10>12", ok},
		"all keys are rotated":         {"a:10<12 b:10<12 c:10<12 a':10>12 b':10>12 c':10>12", ok},
		"back after a pause":           {"a:10 b:10 c:10 d:10<11 d:10>12", ok},
		"some are back after a pause":  {"a:10 b:10 c:10 d:10<11 e:10<11 d:10>12 e:10>12", lost},
		"last block's count as seated": {"a:10 b:10 c:10 d:10>11 e:10>12", ok},
		"one swapped for another":      {"a:10 b:10 c:10 d:10<12 e:10>12", ok},
		"two swapped for others":       {"a:10 b:10 c:10<12 d:10<12 e:10>12 f:10>12", lost},
		"a hundred":                    {many(99) + " z:10>12", ok},
		"one too many":                 {many(100) + " z:10>12", full},
		"a hundred and one leaves":     {many(99) + " y:10<12 z:10>12", ok},
	} {
		err := checkSuccessors(parseSeats(t, test.seats), now)
		if code, verdict := tx.CodeOf(err); !verdict || code != test.want {
			t.Errorf("%s: %v, want %s", name, err, tx.Reason(test.want))
		}
	}
}

func TestCheckReach(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		seats string
		away  string
		lost  uint64 // the height whose set is lost, 0 for none
	}{
		"nobody goes":                        {"a:10 b:10 c:10", "", 0},
		"one of four":                        {"a:10 b:10 c:10 d:10<12", "d", 0},
		"one of three":                       {"a:10 b:10 c:10<12", "c", 10},
		"a third":                            {"a:10 b:10 c:20 d:20<12", "d", 10},
		"less than a third":                  {"a:10 b:11 c:20 d:20<12", "d", 0},
		"two of four":                        {"a:10 b:10 c:10<12 d:10<12", "c d", 10},
		"two of seven":                       {"a:10 b:10 c:10 d:10 e:10 f:10<12 g:10<12", "f g", 0},
		"three of seven":                     {"a:10 b:10 c:10 d:10 e:10<12 f:10<12 g:10<12", "e f g", 10},
		"an observer":                        {"a:10", "x", 0},
		"the set of 11 is smaller":           {"a:10 b:10 c:10<12 d:10<11", "c", 11},
		"the set of 11 has too much of it":   {"a:10 b:10 c:10<11 d:10<12 c:20>11", "c", 11},
		"the set of 10 alone":                {"a:10 b:10 c:10<12 d:10>11", "c", 10},
		"only joins with 12":                 {"a:10 b:10 c:10>12", "c", 12},
		"power was taken the block before":   {"a:10 b:10 c:10<11", "c", 0},
		"the power of two was":               {"a:10 b:10<11 c:10<11", "b c", 0},
		"of one it was, another goes":        {"a:10 b:10 c:10<12 d:10<11 e:10", "c d", 0},
		"of one it was, too much goes":       {"a:10 b:10 c:10<12 d:10<11", "c d", 11},
		"the key was rotated, not the power": {"a:10 b:10 c:10<11 c':10>11", "c", 10},
		"one was away already":               {"a:10 b:10 c:10 d:10<12 e:10<12 f:10", "d e", 10},
	} {
		away := make(map[string]bool)
		for _, name := range strings.Fields(test.away) {
			away[name] = true
		}
		err := checkReach(parseSeats(t, test.seats), now, away, "do this instead")
		if test.lost == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		want := fmt.Sprintf("at height %d,", test.lost)
		if !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_QUORUM_LOST}) || !strings.Contains(err.Error(), want) ||
			!strings.HasSuffix(err.Error(), ": do this instead") {
			t.Errorf("%s: %v does not say %q", name, err, want)
		}
	}
}

// show is the opposite of parseSeats.
func show(seats *membershipv1.Seats, names map[string]string) string {
	var list []string
	for _, s := range seats.Seats {
		text := fmt.Sprintf("%s:%d", names[string(s.ValidatorKey)], s.Power)
		if s.FromHeight != 1 {
			text += fmt.Sprintf(">%d", s.FromHeight)
		}
		if s.UntilHeight != 0 {
			text += fmt.Sprintf("<%d", s.UntilHeight)
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

func TestSeatsOfOneBlockMerge(t *testing.T) {
	t.Parallel()
	names, keys := make(map[string]string), make(map[string][]byte)
	for _, name := range []string{"a", "a'", "b", "c"} {
		hash := sha256.Sum256([]byte(name))
		names[string(hash[:])], keys[name] = name, hash[:]
	}
	for name, test := range map[string]struct {
		before, does, after string
	}{
		"ends":                     {"b:10", "-b", "b:10<12"},
		"begins":                   {"b:10", "+c:10", "b:10 c:10>12"},
		"ends and begins again":    {"b:10", "-b +b:10", "b:10"},
		"changes":                  {"b:10", "-b +b:20", "b:10<12 b:20>12"},
		"changes twice":            {"b:10", "-b +b:20 -b +b:30", "b:10<12 b:30>12"},
		"changes and back":         {"b:10", "-b +b:20 -b +b:10", "b:10"},
		"changes and ends":         {"b:10", "-b +b:20 -b", "b:10<12"},
		"begins and ends":          {"b:10", "+c:10 -c", "b:10"},
		"begins and changes":       {"b:10", "+c:10 -c +c:20", "b:10 c:20>12"},
		"rotates":                  {"a:10", "-a +a':10", "a:10<12 a':10>12"},
		"is rotated a block later": {"a:10<11 a':10>11", "-a' +b:10", "a:10<11 a':10>11<12 b:10>12"},
		"ends nothing":             {"b:10", "-c", "b:10"},
		"ends what has ended":      {"b:10<11 c:10", "-b", "b:10<11 c:10"},
		"returns a block later":    {"b:10<11 c:10", "+b:10", "b:10<11 b:10>12 c:10"},
		"old ones are dropped":     {"a:10<10 b:10<11 c:10", "", "b:10<11 c:10"},
	} {
		seats := parseSeats(t, test.before)
		for _, step := range strings.Fields(test.does) {
			key, power, _ := strings.Cut(step[1:], ":")
			if step[0] == '-' {
				endSeat(seats, now, keys[key])
				continue
			}
			n, err := strconv.ParseUint(power, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			giveSeat(seats, now, keys[key], strings.TrimRight(key, "'"), n)
		}
		tidy(seats, now)
		want := strings.Fields(test.after)
		got := strings.Fields(show(seats, names))
		if !sameSet(got, want) || seats.Height != now {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		for i := 1; i < len(seats.Seats); i++ {
			a, b := seats.Seats[i-1], seats.Seats[i]
			if string(a.ValidatorKey) > string(b.ValidatorKey) || (string(a.ValidatorKey) == string(b.ValidatorKey) && a.FromHeight >= b.FromHeight) {
				t.Errorf("%s: not in order", name)
			}
		}
	}
}

func sameSet(a, b []string) bool {
	count := make(map[string]int)
	for _, s := range a {
		count[s]++
	}
	for _, s := range b {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestUpdates(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, after, want string // before "-": there is none
	}{
		"nothing":             {"a:10", "a:10", ""},
		"joins":               {"a:10", "a:10 b:20>12", "b:20"},
		"leaves":              {"a:10 b:10", "a:10 b:10<12", "b:0"},
		"changes":             {"a:10", "a:10<12 a:30>12", "a:30"},
		"rotates":             {"a:10", "a:10<12 a':10>12", "a:0 a':10"},
		"told already":        {"a:10 b:10>11", "a:10 b:10>11", ""},
		"told it left":        {"a:10 b:10<11", "a:10 b:10<11", ""},
		"joined, leaves":      {"a:10 b:10>11", "a:10 b:10>11<12", "b:0"},
		"left, joins again":   {"a:10 b:10<11", "a:10 b:10<11 b:10>12", "b:10"},
		"no seats before":     {"-", "a:10 b:10<12 c:10>12", "b:0 c:10"},
		"several":             {"a:10 b:10 c:10", "a:10<12 b:10<12 b:20>12 c:10 a':5>12", "a:0 a':5 b:20"},
		"the genesis":         {"-", "a:10 b:10", ""},
		"nothing at all":      {"-", "-", ""},
		"seats before, alone": {"a:10", "-", ""},
	} {
		var before, after *membershipv1.Seats
		if test.before != "-" {
			before = parseSeats(t, test.before)
			tidy(before, now-1)
		}
		if test.after != "-" {
			after = parseSeats(t, test.after)
			tidy(after, now)
		}
		var got []string
		last := ""
		for _, u := range Updates(before, after, now) {
			if string(u.PublicKey) <= last {
				t.Errorf("%s: not in order of keys", name)
			}
			last = string(u.PublicKey)
			for _, key := range []string{"a", "a'", "b", "c"} {
				if hash := sha256.Sum256([]byte(key)); string(hash[:]) == last {
					got = append(got, fmt.Sprintf("%s:%d", key, u.Power))
				}
			}
		}
		if !sameSet(got, strings.Fields(test.want)) {
			t.Errorf("%s: %v, want %q", name, got, test.want)
		}
	}
}
