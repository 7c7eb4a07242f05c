package loadgen

import (
	"strings"
	"testing"
	"time"
)

// TestLedgerComparesWhileTheLoadRuns reads a block before everything is acknowledged that stands in it.
func TestLedgerComparesWhileTheLoadRuns(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	record := newRecorder()
	record.begin(begin, []*window{{begin: begin, end: begin.Add(time.Hour)}})
	tally := record.tallies[0]
	c := newChain(1)
	var ids []ID
	for i := range 5 {
		ids = append(ids, ID{byte(i)})
		c.commit(ids[i], 0, 1)
	}
	l := newLedger()
	acknowledged := func(i int, height uint64) { l.acknowledge(height, ack{id: ids[i], record: record}) }
	nobody := func(string, int, int) {}

	acknowledged(0, 1)
	acknowledged(1, 2)
	if err := l.check(t.Context(), c, 1, 3, nobody); err != nil {
		t.Fatal(err)
	}
	if waiting, highest := l.backlog(); waiting != 0 || highest != 2 || l.newest() != 3 || tally.checked != 2 {
		t.Errorf("%d wait, up to %d, read up to %d, %d found", waiting, highest, l.newest(), tally.checked)
	}
	acknowledged(2, 3) // late, and so
	if tally.checked != 3 || l.wrong != 0 {
		t.Errorf("%d found, %v", tally.checked, l.faults)
	}
	acknowledged(3, 3) // late, and not so
	if tally.checked != 3 || l.wrong != 1 || !strings.Contains(l.faults[0], "does not hold it") {
		t.Errorf("%d found, %v", tally.checked, l.faults)
	}
	acknowledged(4, 9) // in a block that there is not
	l.leaveOpen(ids[3], lost{due: begin, record: record, reason: ReasonUnanswered})
	l.leaveOpen(ID{99}, lost{due: begin, record: record, reason: ReasonUnanswered})
	if err := l.check(t.Context(), c, 4, 5, nobody); err != nil {
		t.Fatal(err)
	}
	l.settle()
	if l.wrong != 2 || l.found != 1 || tally.checked != 4 || tally.errors[ReasonUnanswered] != 1 || l.blocks.foreign != 1 {
		t.Errorf("faults %v, %d found later, %d found, errors %v, %d foreign", l.faults, l.found, tally.checked, tally.errors, l.blocks.foreign)
	}
}
