package report

import (
	"fmt"
	"math"
	"strings"
)

// The page's plots, in units of their view box.
const (
	plotWidth, plotHeight   = 800, 220
	left, right, top, below = 60, 10, 10, 25
	gridLines               = 4
	// maxPoints is how many points a line is drawn with at most.
	maxPoints = 1000
)

// colors of lines, dark enough on white and told apart by most people; they repeat beyond eight.
var colors = []string{"#1f5fa8", "#c2571a", "#2c7a3d", "#8a3fa0", "#a8841f", "#b02a4a", "#1b8a8f", "#555555"}

// plot is a diagram over time.
type plot struct {
	Title, Unit string
	Lines       []line
	measured    [][2]float64
}

// line is one line of a plot. Negative values are not known, and left out.
type line struct {
	name string
	x, y []float64
}

// path is a line as it is drawn.
type path struct{ Name, Color, Points string }

// rule is a line of the grid with its label.
type rule struct {
	X1, Y1, X2, Y2, TX, TY float64
	Anchor, Label          string
}

type rectangle struct{ X, Y, W, H float64 }

// Width and Height are those of the view box.
func (p plot) Width() int  { return plotWidth }
func (p plot) Height() int { return plotHeight }

// extent returns the largest values of both axes, above zero.
func (p plot) extent() (x, y float64) {
	x, y = 1, 0
	for _, l := range p.Lines {
		for i, v := range l.y {
			if i < len(l.x) {
				x, y = max(x, l.x[i]), max(y, v)
			}
		}
	}
	for _, m := range p.measured {
		x = max(x, m[1])
	}
	return x, niceCeiling(y)
}

// niceCeiling returns the next number of the form 1, 2, 4, 5 or 8 times a power of ten.
func niceCeiling(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 5, 8} {
		if v <= m*power {
			return m * power
		}
	}
	return 10 * power
}

func across(x, most float64) float64 { return left + (plotWidth-left-right)*x/most }
func up(y, most float64) float64 {
	return plotHeight - below - (plotHeight-top-below)*y/most
}

// Paths returns the lines as points.
func (p plot) Paths() []path {
	mostX, mostY := p.extent()
	var paths []path
	for n, l := range p.Lines {
		var points strings.Builder
		step := max(1, (len(l.y)+maxPoints-1)/maxPoints)
		for i := 0; i < len(l.y) && i < len(l.x); i += step {
			if l.y[i] >= 0 {
				fmt.Fprintf(&points, "%.1f,%.1f ", across(max(l.x[i], 0), mostX), up(l.y[i], mostY))
			}
		}
		paths = append(paths, path{l.name, colors[n%len(colors)], strings.TrimSpace(points.String())})
	}
	return paths
}

// Grid returns the lines behind.
func (p plot) Grid() []rule {
	mostX, mostY := p.extent()
	var rules []rule
	for i := range gridLines + 1 {
		y := mostY * float64(i) / gridLines
		at := up(y, mostY)
		rules = append(rules, rule{left, at, plotWidth - right, at, left - 6, at + 4, "end", fmt.Sprintf("%.4g", y)})
		x := mostX * float64(i) / gridLines
		over := across(x, mostX)
		rules = append(rules, rule{over, plotHeight - below, over, plotHeight - below + 4, over, plotHeight - 6, "middle", fmt.Sprintf("%.3g", x)})
	}
	return rules
}

// Bands returns the measured time.
func (p plot) Bands() []rectangle {
	mostX, _ := p.extent()
	var bands []rectangle
	for _, m := range p.measured {
		begin, end := across(max(m[0], 0), mostX), across(max(m[1], 0), mostX)
		bands = append(bands, rectangle{begin, top, max(end-begin, 0), plotHeight - top - below})
	}
	return bands
}
