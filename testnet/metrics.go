package testnet

import (
	"bufio"
	"bytes"
	"os"
	"regexp"
	"strings"

	"github.com/althing-ledger/althing/internal/home"
)

// metrics returns where each node's page for Prometheus is found, by the node's name. What cannot be read is left out: a
// home that is broken must not hide how the other nodes are.
func (n *Network) metrics() map[string]string {
	if n.containers {
		composed, err := os.ReadFile(n.ComposeFile())
		if err != nil {
			return nil
		}
		return publishedMetrics(composed)
	}
	found := map[string]string{}
	for _, node := range n.File.Nodes {
		content, err := os.ReadFile(home.Dir(node.Home).Config())
		if err != nil {
			continue
		}
		if config, err := home.ParseConfig(content); err == nil {
			found[node.Name] = config.Metrics.Listen
		}
	}
	return found
}

// publishedMetrics finds in a compose file, as Compose writes it, where the host publishes the metrics of each service.
func publishedMetrics(composed []byte) map[string]string {
	service := regexp.MustCompile(`^  ([a-z0-9-]+):$`)
	published := regexp.MustCompile(`"([^"]+):` + containerMetrics + `"`)
	found := map[string]string{}
	name := ""
	scanner := bufio.NewScanner(bytes.NewReader(composed))
	for scanner.Scan() {
		line := scanner.Text()
		if m := service.FindStringSubmatch(line); m != nil {
			name = m[1]
		}
		if m := published.FindStringSubmatch(line); m != nil && strings.HasPrefix(strings.TrimSpace(line), "ports:") {
			found[name] = m[1]
		}
	}
	return found
}
