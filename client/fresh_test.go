package client

import "testing"

func TestFloor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reports []report
		total   uint64
		want    uint64
	}{
		"nobody":                    {nil, 4, 0},
		"one of one":                {[]report{{5, 1}}, 1, 5},
		"the higher of two":         {[]report{{5, 1}, {9, 1}}, 2, 9},
		"the second of three":       {[]report{{5, 1}, {9, 1}, {7, 1}}, 3, 7},
		"the second of four":        {[]report{{5, 1}, {9, 1}, {7, 1}, {6, 1}}, 4, 7},
		"the third of seven":        {[]report{{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}}, 7, 5},
		"a liar alone":              {[]report{{1000000, 1}}, 4, 0},
		"a liar and an honest one":  {[]report{{1000000, 1}, {8, 1}}, 4, 8},
		"two of seven are too few":  {[]report{{8, 1}, {8, 1}}, 7, 0},
		"exactly a third is little": {[]report{{9, 10}, {8, 1}}, 30, 8},
		"by power":                  {[]report{{9, 11}, {8, 1}}, 30, 9},
	} {
		if got := floorOf(c.reports, c.total); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
