//go:build linux && amd64 && !race

package costs

import "testing"

// workloads have a budget for each of their steps, per unit. It is what was measured when it was last written down, and a tenth.
var workloads = []struct {
	name   string
	begin  begin
	rounds int // that are stepped: the least counts
	steps  []budget
}{
	{"verify", verification, 1, []budget{
		{"decode and verify a signature", signed, 595_000, 31},
	}},
	{"transfer", life, 3, []budget{
		{"admit to the pool", transfers, 36_500, 33},
		{"propose", transfers, 12_300, 22},
		{"check and execute", transfers, 46_000, 67},
		{"finalize", transfers, 39_500, 19},
		{"commit", transfers, 57_500, 10},
	}},
	{"read", reading, 1, []budget{
		{"read a key", reads, 890, 1},
		{"prove a key", 1, 475_000, 221},
	}},
}

// budget is what one step may cost, per unit of what it does in a round.
type budget struct {
	step                      string
	units                     uint64
	instructions, allocations uint64
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			for i, c := range measure(t, w.begin, w.rounds) {
				b := w.steps[i]
				// Rounded up: what is there only once in a while is there.
				each := func(n uint64) uint64 { return (n + b.units - 1) / b.units }
				t.Logf("%s: %d instructions of %d, %d allocations of %d; %d bytes", b.step, each(c.Instructions), b.instructions,
					each(c.Allocations), b.allocations, each(c.Bytes))
				b.hold(t, "instructions", each(c.Instructions), b.instructions)
				b.hold(t, "allocations", each(c.Allocations), b.allocations)
			}
		})
	}
}

// hold fails when a budget is exceeded.
func (b budget) hold(t *testing.T, what string, measured, most uint64) {
	t.Helper()
	if measured > most {
		t.Errorf("%s takes %d %s, its budget is %d: make it cheaper, or raise the budget in budgets_test.go to %d with an argument in docs/performance.md",
			b.step, measured, what, most, measured+measured/10)
	} else if measured < most-most/4 {
		t.Logf("%s takes %d %s, its budget is %d: lower it to %d, so that it stays as cheap", b.step, measured, what, most, measured+measured/10)
	}
}
