package network

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/althing-ledger/althing/internal/loadgen"
)

// maxPage bounds in bytes what is read of a page of metrics.
const maxPage = 4 << 20

// MetricsPage looks at the process of a node through the page that the node serves for Prometheus.
type MetricsPage struct {
	url    string
	client *http.Client
}

// NewMetricsPage returns the page at an address, host:port.
func NewMetricsPage(address string) *MetricsPage {
	return &MetricsPage{url: "http://" + address + "/metrics", client: &http.Client{Timeout: time.Second}}
}

// Sample implements [loadgen.Process].
func (p *MetricsPage) Sample(ctx context.Context) (loadgen.Usage, error) {
	u := loadgen.Usage{CPU: -1, RSS: -1, Disk: -1}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return u, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return u, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return u, fmt.Errorf("%s answers %s", p.url, response.Status)
	}
	scanner := bufio.NewScanner(io.LimitReader(response.Body, maxPage))
	for scanner.Scan() {
		name, text, _ := strings.Cut(scanner.Text(), " ")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		switch name {
		case "process_cpu_seconds_total":
			u.CPU = time.Duration(value * float64(time.Second))
		case "process_resident_memory_bytes":
			u.RSS = int64(value)
		case "althing_database_disk_bytes":
			u.Disk = int64(value)
		}
	}
	return u, scanner.Err()
}
