package p2p

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func testMember(i int) Member {
	return Member{
		Name:      fmt.Sprintf("org%d-1", i),
		Org:       fmt.Sprintf("org%d", i),
		ID:        testID(i),
		Addresses: []string{fmt.Sprintf("node%d.example:26656", i)},
	}
}

// testID returns ids that sort like their arguments.
func testID(i int) string { return fmt.Sprintf("%040x", i) }

func TestNodeIDIsTheHashOfTheKey(t *testing.T) {
	t.Parallel()
	// The SHA-256 of 32 zero bytes is 66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925.
	if got, want := NodeID(make([]byte, 32)), "66687aadf862bd776c8fc18b8e9f8e2008971485"; got != want {
		t.Fatalf("NodeID = %s, want %s", got, want)
	}
}

func TestRegistryRefusesUnusableLists(t *testing.T) {
	t.Parallel()
	with := func(change func(*Member)) []Member {
		m := testMember(2)
		change(&m)
		return []Member{testMember(1), m}
	}
	tests := []struct {
		name    string
		members []Member
		want    ErrorKind
	}{
		{"nil", nil, ErrNoMembers},
		{"empty", []Member{}, ErrNoMembers},
		{"too many", make([]Member, MaxMembers+1), ErrTooManyMembers},
		{"same id", with(func(m *Member) { m.ID = testID(1) }), ErrDuplicateMember},
		{"same name", with(func(m *Member) { m.Name = "org1-1" }), ErrDuplicateMember},
		{"no name", with(func(m *Member) { m.Name = "" }), ErrInvalidMember},
		{"short id", with(func(m *Member) { m.ID = m.ID[2:] }), ErrInvalidMember},
		{"former id is another's id", with(func(m *Member) { m.FormerID = testID(1) }), ErrDuplicateMember},
		{"former id is its own id", with(func(m *Member) { m.FormerID = testID(2) }), ErrDuplicateMember},
		{"malformed former id", with(func(m *Member) { m.FormerID = "1" }), ErrInvalidMember},
		{"upper-case id", with(func(m *Member) { m.ID = strings.Repeat("AB", 20) }), ErrInvalidMember},
		{"id is not hex", with(func(m *Member) { m.ID = strings.Repeat("zz", 20) }), ErrInvalidMember},
		{"no port", with(func(m *Member) { m.Addresses = []string{"host"} }), ErrInvalidMember},
		{"port zero", with(func(m *Member) { m.Addresses = []string{"host:0"} }), ErrInvalidMember},
		{"port too high", with(func(m *Member) { m.Addresses = []string{"host:65536"} }), ErrInvalidMember},
		{"no host", with(func(m *Member) { m.Addresses = []string{":26656"} }), ErrInvalidMember},
		{"too many addresses", with(func(m *Member) { m.Addresses = make([]string, MaxAddresses+1) }), ErrInvalidMember},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := NewRegistry(tt.members); !errors.Is(err, tt.want) {
				t.Fatalf("NewRegistry: %v, want %v", err, tt.want)
			}
			r, err := NewRegistry([]Member{testMember(7)})
			if err != nil {
				t.Fatal(err)
			}
			_, changed := r.watch()
			if err := r.Set(tt.members); !errors.Is(err, tt.want) {
				t.Fatalf("Set: %v, want %v", err, tt.want)
			}
			if _, ok := r.Admitted(testID(7)); !ok {
				t.Fatal("a refused list replaced the old one")
			}
			select {
			case <-changed:
				t.Fatal("a refused list woke the watchers")
			default:
			}
		})
	}
}

func TestRegistryAdmitsExactlyItsMembers(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry([]Member{testMember(2), testMember(1)})
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := r.Admitted(testID(2)); !ok || m.Name != "org2-1" || m.Org != "org2" {
		t.Fatalf("Admitted = %+v, %v", m, ok)
	}
	if _, ok := r.Admitted(testID(3)); ok {
		t.Fatal("a stranger is admitted")
	}
	_, changed := r.watch()
	if err := r.Set([]Member{testMember(3), testMember(1)}); err != nil {
		t.Fatal(err)
	}
	<-changed
	if _, ok := r.Admitted(testID(2)); ok {
		t.Fatal("a removed member is still admitted")
	}
	if got := r.Members(); len(got) != 2 || got[0].ID != testID(1) || got[1].ID != testID(3) {
		t.Fatalf("Members = %+v", got)
	}
}

func TestRegistryCopiesItsInput(t *testing.T) {
	t.Parallel()
	in := []Member{testMember(1)}
	r, err := NewRegistry(in)
	if err != nil {
		t.Fatal(err)
	}
	in[0].Addresses[0] = "evil.example:1"
	r.Members()[0].Name = "evil"
	if m, _ := r.Admitted(testID(1)); m.Addresses[0] != "node1.example:26656" || m.Name != "org1-1" {
		t.Fatalf("the registry shares memory with its caller: %+v", m)
	}
}

func TestRegistryReadersAndWritersDoNotRace(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry([]Member{testMember(1)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 200 {
				if i%2 == 0 {
					_ = r.Set([]Member{testMember(1), testMember(2 + j%3)})
				} else if _, ok := r.Admitted(testID(1)); !ok {
					t.Error("a permanent member was not admitted")
				}
			}
		})
	}
	wg.Wait()
}

func TestAMemberIsAdmittedUnderBothItsIDs(t *testing.T) {
	t.Parallel()
	m := testMember(2)
	m.FormerID = testID(9)
	r, err := NewRegistry([]Member{testMember(1), m})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{m.ID, m.FormerID} {
		if got, ok := r.Admitted(id); !ok || got.Name != m.Name {
			t.Errorf("Admitted(%s) = %+v, %v", id, got, ok)
		}
	}
	// The overlap ends.
	if err := r.Set([]Member{testMember(1), testMember(2)}); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Admitted(testID(9)); ok {
		t.Error("the former id is still admitted")
	}
	if g, ok := r.Gone(testID(9)); !ok || g.Name != m.Name || g.Reason != "node key replaced" {
		t.Errorf("Gone = %+v, %v", g, ok)
	}
}

func TestTheRegistryRemembersWhyAnIDHasGone(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry([]Member{testMember(1), testMember(2), testMember(3), testMember(4)})
	if err != nil {
		t.Fatal(err)
	}
	rotated := testMember(4)
	rotated.ID = testID(40)
	err = r.Set([]Member{testMember(1), rotated}, Gone{Name: "org2-1", Reason: "org org2 suspended: fraud"},
		Gone{ID: testID(7), Reason: "about somebody else"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]string{2: "org org2 suspended: fraud", 3: "node removed", 4: "node key replaced"}
	for i, reason := range want {
		if g, ok := r.Gone(testID(i)); !ok || g.Reason != reason || g.Org != fmt.Sprintf("org%d", i) {
			t.Errorf("Gone(%d) = %+v, %v, want %q", i, g, ok, reason)
		}
	}
	for _, i := range []int{1, 7, 40} {
		if g, ok := r.Gone(testID(i)); ok {
			t.Errorf("Gone(%d) = %+v, but it has not", i, g)
		}
	}
	// One that comes back is not gone any more; the others still are.
	if err := r.Set([]Member{testMember(1), testMember(2), rotated}); err != nil {
		t.Fatal(err)
	}
	if g, ok := r.Gone(testID(2)); ok {
		t.Errorf("a returned member is remembered as gone: %+v", g)
	}
	if _, ok := r.Gone(testID(3)); !ok {
		t.Error("forgotten with the next change")
	}
}

func TestWhatTheRegistryRemembersIsBounded(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry([]Member{testMember(1)})
	if err != nil {
		t.Fatal(err)
	}
	const changes = MaxGone + 50
	for i := range changes {
		if err := r.Set([]Member{testMember(1), testMember(2 + i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.now.Load().gone); n != MaxGone {
		t.Errorf("remembers %d ids, want %d", n, MaxGone)
	}
	if _, ok := r.Gone(testID(changes)); !ok {
		t.Error("the newest one is forgotten")
	}
	if _, ok := r.Gone(testID(2)); ok {
		t.Error("the oldest one is remembered")
	}
}

func TestAnEqualListWakesNobody(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry([]Member{testMember(1), testMember(2)})
	if err != nil {
		t.Fatal(err)
	}
	_, changed := r.watch()
	if err := r.Set([]Member{testMember(2), testMember(1)}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("the same list woke the watchers")
	default:
	}
	if err := r.Set([]Member{testMember(1), testMember(1)}); !errors.Is(err, ErrDuplicateMember) {
		t.Errorf("Set of one member twice: %v", err)
	}
	moved := testMember(2)
	moved.Addresses = []string{"elsewhere.example:26656"}
	if err := r.Set([]Member{testMember(1), moved}); err != nil {
		t.Fatal(err)
	}
	<-changed
}

func TestSetAndAdmittedAreCheap(t *testing.T) { // not parallel: it counts allocations
	full := make([]Member, MaxMembers)
	for i := range full {
		full[i] = testMember(i + 1)
	}
	r, err := NewRegistry(full)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10, func() { _ = r.Set(full) }); n > 0 {
		t.Errorf("setting the present list allocates %v times", n)
	}
	next := 0
	if n := testing.AllocsPerRun(10, func() {
		next++
		full[7].Addresses = []string{fmt.Sprintf("host%d.example:1", next)}
		_ = r.Set(full)
	}); n > 100 {
		t.Errorf("a change of one of %d members allocates %v times", MaxMembers, n)
	}
	known, unknown := testID(500), testID(MaxMembers+1)
	if n := testing.AllocsPerRun(10, func() { r.Admitted(known); r.Admitted(unknown) }); n > 0 {
		t.Errorf("Admitted allocates %v times", n)
	}
}
