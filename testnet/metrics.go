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
	return n.configured(func(c home.Config) string { return c.Metrics.Listen })
}

// http returns where each node serves HTTP, by the node's name, as metrics does. Containers do not.
func (n *Network) http() map[string]string {
	if n.containers {
		return nil
	}
	return n.configured(func(c home.Config) string { return c.HTTP.Listen })
}

// configured returns what the configuration of each node says, by the node's name, of those that can be read.
func (n *Network) configured(what func(home.Config) string) map[string]string {
	found := map[string]string{}
	for _, node := range n.File.Nodes {
		content, err := os.ReadFile(home.Dir(node.Home).Config())
		if err != nil {
			continue
		}
		if config, err := home.ParseConfig(content); err == nil {
			found[node.Name] = what(config)
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
