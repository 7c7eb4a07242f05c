package main

import (
	"slices"
	"testing"
)

func TestFitCutsToTheTerminal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		width, height int
		want          []string
	}{
		"large":  {80, 24, []string{"block 6 …", "", "acme-1"}},
		"exact":  {9, 4, []string{"block 6 …", "", "acme-1"}},
		"narrow": {4, 24, []string{"bloc", "", "acme"}},
		"low":    {80, 2, []string{"block 6 …"}},
		"tiny":   {1, 1, []string{"b"}},
	} {
		got := fit("block 6 …\n\nacme-1\n", c.width, c.height)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if taken := linesTaken(got, c.width, c.height); taken != len(got) {
			t.Errorf("%s: takes %d lines, want %d", name, taken, len(got))
		}
	}
	// A terminal that has become narrower breaks what was written before.
	if taken := linesTaken([]string{"123456", "", "1"}, 3, 24); taken != 4 {
		t.Errorf("takes %d lines, want 4", taken)
	}
	if taken := linesTaken([]string{"123456", "", "1"}, 1, 5); taken != 4 {
		t.Errorf("takes %d lines, want no more than fit above the cursor: 4", taken)
	}
}
