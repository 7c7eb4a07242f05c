package governance_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/governance"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

const (
	open     = governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN
	executed = governancev1.ProposalStatus_PROPOSAL_STATUS_EXECUTED
	failed   = governancev1.ProposalStatus_PROPOSAL_STATUS_FAILED
)

var shares = [][2]uint32{{1, 2}, {2, 3}, {3, 4}, {99, 100}}

// motion is what is put to the vote where it does not matter what.
var motion = setCharter(&governancev1.Charter{MaxOperations: 7})

func byShare(share [2]uint32) *governancev1.Charter {
	return &governancev1.Charter{Rules: rule(share[0], share[1])}
}

// exceeds compares as the law is written, with exact fractions.
func exceeds(part, whole int, share [2]uint32) bool {
	return big.NewRat(int64(part), int64(whole)).Cmp(big.NewRat(int64(share[0]), int64(share[1]))) > 0
}

// ballots calls fn with every way in which n orgs can vote: 0 not at all, 1 yes, 2 no.
func ballots(n int, fn func([]int)) {
	votes := make([]int, n)
	for {
		fn(votes)
		i := 0
		for ; i < n && votes[i] == 2; i++ {
			votes[i] = 0
		}
		if i == n {
			return
		}
		votes[i]++
	}
}

// TestEveryBallot compares the outcome of every vote of up to five orgs with the law, after each ballot, and again after
// every set of the others was suspended and the first org has repeated its yes.
func TestEveryBallot(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 5; n++ {
		for _, share := range shares {
			ballots(n-1, func(votes []int) {
				a := newAssembly(t, byShare(share), names(n)...)
				a.propose(t, "org-0/admin", "", motion)
				cast, want := make([]int, n), open
				cast[0] = 1
				settle := func(active func(int) bool) {
					yes, no, orgs := 0, 0, 0
					for i, vote := range cast {
						if active(i) {
							orgs++
							yes += vote & 1
							no += vote >> 1
						}
					}
					switch {
					case exceeds(yes, orgs, share):
						want = executed
					case !exceeds(orgs-no, orgs, share):
						want = failed
					}
				}
				everybody := func(int) bool { return true }
				settle(everybody)
				for i, vote := range votes {
					if vote != 0 && want == open {
						a.vote(t, fmt.Sprintf("org-%d/admin", i+1), 1, vote == 1)
						cast[i+1] = vote
						settle(everybody)
					}
				}
				if got := a.status(t, 1); got != want {
					t.Fatalf("%d orgs, %v, %v: %s, want %s", n, share, cast, got, want)
				}
				if want != open || n > 4 {
					return
				}
				before, height, at := a.snapshot(), a.Height, a.Time
				for set := 1; set < 1<<(n-1); set++ {
					a.restore(before, height, at)
					want = open
					suspended := func(i int) bool { return i > 0 && set>>(i-1)&1 == 1 }
					for i := 1; i < n; i++ {
						if suspended(i) {
							a.decree(t, suspend(fmt.Sprintf("org-%d", i)))
						}
					}
					a.vote(t, "org-0/admin", 1, true)
					settle(func(i int) bool { return !suspended(i) })
					if got := a.status(t, 1); got != want {
						t.Fatalf("%d orgs, %v, %v, suspended %b: %s, want %s", n, share, cast, set, got, want)
					}
				}
			})
		}
	}
}

// TestNoMinorityPassesAnything lets every minority do what it wants while the others do every mixture of nothing and no.
// Nothing it proposes may pass; a third time over, the others join one by one, and it passes exactly when it may.
func TestNoMinorityPassesAnything(t *testing.T) {
	t.Parallel()
	for n := 2; n <= 7; n++ {
		for _, share := range shares {
			for hostile := 1; !exceeds(hostile, n, share); hostile++ {
				for resist := range 1 << (n - hostile) {
					a := newAssembly(t, byShare(share), names(n)...)
					untouched := a.charter(t)
					wild := rand.New(rand.NewPCG(uint64(n*100+hostile), uint64(resist)))
					a.propose(t, "org-0/admin", "", motion)
					for i := hostile; i < n; i++ {
						if resist>>(i-hostile)&1 == 1 && a.status(t, 1) == open {
							a.vote(t, fmt.Sprintf("org-%d/admin", i), 1, false)
						}
					}
					for range 4 * hostile {
						who, id := fmt.Sprintf("org-%d/admin", wild.IntN(hostile)), 1+wild.Uint64N(3)
						switch wild.IntN(8) {
						case 0:
							a.propose(t, who, "", motion, suspend(fmt.Sprintf("org-%d", n-1)))
						case 1:
							a.propose(t, who, "", setCharter(&governancev1.Charter{Rules: rule(1, 2, "org-0")}))
						case 2:
							a.withdraw(t, who, id)
						case 3:
							a.vote(t, who, id, false)
						default:
							a.vote(t, who, id, true)
						}
					}
					for i := range hostile {
						for id := uint64(1); id <= 3; id++ {
							a.vote(t, fmt.Sprintf("org-%d/admin", i), id, true)
						}
					}
					if got := a.status(t, 1); got == executed || !proto.Equal(a.charter(t), untouched) {
						t.Fatalf("%d of %d orgs, %v, resistance %b: %s, the charter is %v", hostile, n, share, resist, got, a.charter(t))
					}
				}
			}
			a := newAssembly(t, byShare(share), names(n)...)
			a.propose(t, "org-0/admin", "", motion)
			for i := 1; i < n; i++ {
				if got, want := a.status(t, 1) == executed, exceeds(i, n, share); got != want {
					t.Fatalf("%d of %d orgs, %v: passed %v, want %v", i, n, share, got, want)
				}
				a.vote(t, fmt.Sprintf("org-%d/admin", i), 1, true)
			}
			if a.status(t, 1) != executed {
				t.Fatalf("all of %d orgs, %v: not passed", n, share)
			}
		}
	}
}

// TestAgreementAlwaysPasses lets all active orgs agree on random changes of the charter and of one another's status. Whatever
// they have done to themselves, they can go on: some org may propose, and when all agree, it passes.
func TestAgreementAlwaysPasses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			wild := rand.New(rand.NewPCG(seed, 1))
			n := 1 + wild.IntN(6)
			w := &agreement{assembly: newAssembly(t, nil, names(n)...), suspended: make([]bool, n)}
			for range 40 {
				switch who := wild.IntN(n); {
				case wild.IntN(4) > 0:
					w.agree(t, setCharter(randomChanges(wild, n)))
				case w.suspended[who]:
					w.suspended[who] = !w.agree(t, resume(fmt.Sprintf("org-%d", who)))
				default:
					w.suspended[who] = w.agree(t, suspend(fmt.Sprintf("org-%d", who)))
				}
				if err := governance.Validate(w.charter(t)); err != nil {
					t.Fatal(err)
				}
				w.Pass(time.Duration(wild.Int64N(int64(time.Hour))))
			}
			if w.passed < 20 {
				t.Errorf("only %d of 40 changes could be made at all", w.passed)
			}
		})
	}
}

// agreement is an assembly whose active orgs always agree.
type agreement struct {
	assembly
	suspended []bool
	newest    uint64
	passed    int
}

// agree has all active orgs vote for an operation and reports whether it was executed. It fails the test unless some of them
// may propose it and the vote of all of them decides it.
func (w *agreement) agree(t *testing.T, op *ledgerv1.Operation) bool {
	t.Helper()
	var active []string
	for i, suspended := range w.suspended {
		if !suspended {
			active = append(active, fmt.Sprintf("org-%d/admin", i))
		}
	}
	proposed := false
	for _, who := range active {
		out := w.propose(t, who, "", op)
		if proposed = out.Err == nil; proposed {
			w.newest++
			break
		}
		if !isCode(out.Err, ledgerv1.Code_CODE_MAY_NOT_PROPOSE) {
			t.Fatalf("%s cannot propose %v: %v", who, op, out.Err)
		}
	}
	if !proposed {
		t.Fatalf("none of %v may propose %v under %v", active, op, w.charter(t))
	}
	for _, who := range active {
		if w.status(t, w.newest) == open {
			if out := w.vote(t, who, w.newest, true); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
	}
	// It may be refused for what it is, never for want of votes.
	p := w.show(t, w.newest).Proposal
	if p.Status != executed && (p.Status != failed || p.Code == 0) {
		t.Fatalf("all of %v agree, and the proposal is %v", active, p)
	}
	if p.Status == executed {
		w.passed++
	}
	return p.Status == executed
}

// randomChanges are changes of a charter that pass their check: of a few fields, to bounds and to anything between.
func randomChanges(wild *rand.Rand, orgs int) *governancev1.Charter {
	for {
		c := new(governancev1.Charter)
		number := func(least, most uint64) uint64 {
			switch wild.IntN(3) {
			case 0:
				return least
			case 1:
				return most
			default:
				return least + wild.Uint64N(most-least+1)
			}
		}
		for range 1 + wild.IntN(3) {
			switch wild.IntN(8) {
			case 0:
				c.MaxTxBytes, c.MaxBlockBytes, c.OrgBlockBytes = number(4<<10, 4<<20), number(4<<20+8, 16<<20), number(4<<20+8, 16<<20)
			case 1:
				c.MaxOperations, c.MaxSignatures = uint32(number(1, 1000)), uint32(number(16, 256))
			case 2:
				c.MaxExpirySeconds = number(120, 30*86400)
			case 3:
				c.VotingPeriodSeconds = number(60, 365*86400)
			case 4:
				c.OrgBlockBytes = number(4<<10+8, 16<<20)
			case 5:
				c.ReadRoles = roles(wild.IntN(3))
			default:
				r := &governancev1.Rule{Action: governancev1.Action(wild.IntN(8)), Denominator: uint32(number(2, 1000))}
				r.Numerator = uint32(number(uint64(r.Denominator+1)/2, uint64(r.Denominator)-1))
				for i := range orgs {
					if wild.IntN(3) == 0 {
						r.Proposers = append(r.Proposers, fmt.Sprintf("org-%d", i))
					}
				}
				if wild.IntN(4) == 0 {
					r.Proposers = append(r.Proposers, "stranger")
				}
				c.Rules = append(c.Rules, r)
			}
		}
		if governance.CheckSetCharter(&governancev1.SetCharter{Charter: c}) == nil {
			return c
		}
	}
}

// snapshot copies the state, for restore.
func (a assembly) snapshot() map[string][]byte {
	values := make(map[string][]byte)
	_ = a.State.Scan(nil, nil, func(key, value []byte) (bool, error) {
		values[string(key)] = value // replaced and never changed by the state
		return true, nil
	})
	return values
}

// restore brings back a state that has had every key that there is now.
func (a assembly) restore(values map[string][]byte, height uint64, at time.Time) {
	for key, value := range values {
		a.State.Set([]byte(key), value)
	}
	a.Height, a.Time = height, at
}
