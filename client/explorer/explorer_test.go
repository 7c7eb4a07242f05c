package explorer_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	"github.com/althing-ledger/althing/client/explorer"
)

// serve returns an explorer of a small network whose nodes prove nothing.
func serve(t *testing.T) *httptest.Server {
	t.Helper()
	network := clienttest.Start(t, 1)
	c := network.Dial(t, client.Config{})
	handler, err := explorer.Handler(explorer.Config{Client: c, Unverified: true, Hosts: []string{"ledger.example"}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func call(t *testing.T, method, url, host, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		request.Host = host
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

func TestPageAndWhoMayReachIt(t *testing.T) {
	t.Parallel()
	server := serve(t)
	for host, want := range map[string]int{
		"": http.StatusOK, "localhost:8080": http.StatusOK, "127.0.0.1": http.StatusOK, "[::1]:80": http.StatusOK,
		"Ledger.example:80": http.StatusOK, "evil.example": http.StatusMisdirectedRequest, "127.0.0.1.evil.example": http.StatusMisdirectedRequest,
		"10.0.0.1": http.StatusMisdirectedRequest,
	} {
		response, body := call(t, http.MethodGet, server.URL+"/", host, "")
		if response.StatusCode != want {
			t.Errorf("host %q: %s", host, response.Status)
		}
		if want == http.StatusOK && (!strings.Contains(body, "app.js") || !strings.Contains(response.Header.Get("Content-Security-Policy"), "default-src 'none'")) {
			t.Errorf("host %q: %v\n%s", host, response.Header, body)
		}
	}
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	server := serve(t)
	zero := strings.Repeat("0", 64)
	for _, test := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/api/ask/accounts/GetOrg", `{"name":"nobody"}`, http.StatusNotFound, "NOT_FOUND"},
		{"POST", "/api/ask/accounts/GetOrg", `{"nome":"acme"}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"POST", "/api/ask/accounts/GetOrg", `{`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"POST", "/api/ask/accounts/GetOrg", strings.Repeat(" ", 100<<10), http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"POST", "/api/ask/accounts/Erase", `{}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"POST", "/api/ask/ledger/Submit", `{}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"POST", "/api/ask/ledger/Watch", `{}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"GET", "/api/transactions/12", "", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"GET", "/api/transactions/" + zero, "", http.StatusNotFound, "NOT_FOUND"},
		{"GET", "/api/blocks/-1", "", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"GET", "/api/blocks/99999999999999999999", "", http.StatusBadRequest, "INVALID_ARGUMENT"},
	} {
		response, body := call(t, test.method, server.URL+test.path, "", test.body)
		var failure struct{ Code, Message string }
		if err := json.Unmarshal([]byte(body), &failure); err != nil || response.StatusCode != test.status || failure.Code != test.code || failure.Message == "" {
			t.Errorf("%s %s: %s %s (%v)", test.method, test.path, response.Status, body, err)
		}
	}
	var network struct {
		ChainID string `json:"chain_id"`
		Nodes   []struct{ Name, Error string }
	}
	_, body := call(t, http.MethodGet, server.URL+"/api/network", "", "")
	if err := json.Unmarshal([]byte(body), &network); err != nil || network.ChainID == "" || len(network.Nodes) != 1 || network.Nodes[0].Error != "" {
		t.Errorf("%v: %s", err, body)
	}
}
