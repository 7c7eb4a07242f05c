package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/althing-ledger/althing/internal/loadgen"
)

//go:embed page.html.tmpl
var pageTemplate string

// plots are what the page shows beside the text; answered says what the answers are, and unit what is counted of them.
func plots(s loadgen.Series, nodes []loadgen.NodeResult, answered, unit string) []plot {
	seconds := make([]float64, len(s.Committed))
	committed := make([]float64, len(s.Committed))
	for i, n := range s.Committed {
		seconds[i], committed[i] = float64(i)+0.5, float64(n)
	}
	all := []plot{
		{Title: answered, Unit: unit, Lines: []line{{strings.ToLower(answered), seconds, committed}}},
		{Title: "Latency", Unit: "ms, of the answers of each second", Lines: []line{{"p50", seconds, s.P50}, {"p99", seconds, s.P99}}},
	}
	cpu := plot{Title: "Processor", Unit: "cores", Lines: []line{{"generator", s.Samples, s.GeneratorCPU}}}
	memory := plot{Title: "Resident memory", Unit: "MiB"}
	disk := plot{Title: "On disk", Unit: "MiB"}
	for _, n := range nodes {
		cpu.Lines = append(cpu.Lines, line{n.Name, s.Samples, n.CPU})
		memory.Lines = append(memory.Lines, line{n.Name, s.Samples, toMebibytes(n.Memory)})
		disk.Lines = append(disk.Lines, line{n.Name, s.Samples, toMebibytes(n.OnDisks)})
	}
	all = append(all, cpu, memory, disk)
	for i := range all {
		all[i].measured = s.Measured
	}
	return all
}

func toMebibytes(bytes []int64) []float64 {
	out := make([]float64, len(bytes))
	for i, b := range bytes {
		out[i] = -1
		if b >= 0 {
			out[i] = float64(b) / (1 << 20)
		}
	}
	return out
}

// HTML returns a page that shows a result with plots. It needs nothing else: no script, no other file, no network.
func HTML(r *loadgen.Result) ([]byte, error) {
	return page{
		Headline: fmt.Sprintf("%s transactions per second", digits(r.CommittedTPS)), Began: r.Began, Interrupted: r.Interrupted, Faults: r.Faults,
		Plots: plots(r.Series, r.Nodes, "Committed", "transactions per second"),
	}.html(func(w io.Writer) { Text(w, r) })
}

// ReadingHTML is [HTML] of what was read.
func ReadingHTML(r *loadgen.ReadingResult) ([]byte, error) {
	return page{
		Headline: fmt.Sprintf("%s keys read per second", digits(r.KeysPerSecond)), Began: r.Began, Interrupted: r.Interrupted, Faults: r.Faults,
		Plots: plots(r.Series, r.Nodes, "Answered", "calls per second"),
	}.html(func(w io.Writer) { ReadingText(w, r) })
}

// page is what the template shows.
type page struct {
	Headline    string
	Began       time.Time
	Interrupted bool
	Faults      []string
	Text        string
	Plots       []plot
}

func (p page) html(write func(io.Writer)) ([]byte, error) {
	var text, out bytes.Buffer
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	write(columns)
	if err := columns.Flush(); err != nil {
		return nil, err
	}
	p.Text = text.String()
	parsed, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return nil, err
	}
	err = parsed.Execute(&out, p)
	return out.Bytes(), err
}
