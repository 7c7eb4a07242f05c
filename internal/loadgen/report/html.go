package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"text/tabwriter"

	"github.com/althing-ledger/althing/internal/loadgen"
)

//go:embed page.html.tmpl
var pageTemplate string

// plots are what the page shows beside the text.
func plots(r *loadgen.Result) []plot {
	seconds := make([]float64, len(r.Series.Committed))
	committed := make([]float64, len(r.Series.Committed))
	for i, n := range r.Series.Committed {
		seconds[i], committed[i] = float64(i)+0.5, float64(n)
	}
	all := []plot{
		{Title: "Committed", Unit: "transactions per second", Lines: []line{{"committed", seconds, committed}}},
		{Title: "Latency", Unit: "ms, of the answers of each second", Lines: []line{{"p50", seconds, r.Series.P50}, {"p99", seconds, r.Series.P99}}},
	}
	cpu := plot{Title: "Processor", Unit: "cores", Lines: []line{{"generator", r.Series.Samples, r.Series.GeneratorCPU}}}
	memory := plot{Title: "Resident memory", Unit: "MiB"}
	disk := plot{Title: "On disk", Unit: "MiB"}
	for _, n := range r.Nodes {
		cpu.Lines = append(cpu.Lines, line{n.Name, r.Series.Samples, n.CPU})
		memory.Lines = append(memory.Lines, line{n.Name, r.Series.Samples, toMebibytes(n.Memory)})
		disk.Lines = append(disk.Lines, line{n.Name, r.Series.Samples, toMebibytes(n.OnDisks)})
	}
	all = append(all, cpu, memory, disk)
	for i := range all {
		all[i].measured = r.Series.Measured
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
	var text, page bytes.Buffer
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	Text(columns, r)
	if err := columns.Flush(); err != nil {
		return nil, err
	}
	parsed, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return nil, err
	}
	err = parsed.Execute(&page, struct {
		Result *loadgen.Result
		Text   string
		Plots  []plot
	}{r, text.String(), plots(r)})
	return page.Bytes(), err
}
