package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/grpcapi"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// read decodes an answer as its message, strictly.
func (s said) read(t testing.TB, m proto.Message) {
	t.Helper()
	if s.status != http.StatusOK {
		t.Fatalf("status %d: %s", s.status, s.body)
	}
	if got := s.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if err := protojson.Unmarshal(s.body, m); err != nil {
		t.Fatalf("%v\n%s", err, s.body)
	}
}

func TestAnAnswerNamesItsHeight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	newest := w.get("/v1/accounts/acme/admin")
	var m accountsv1.GetAccountResponse
	newest.read(t, &m)
	if m.GetAccount().GetName() != admin || m.GetHeight() != 1 {
		t.Errorf("answered %v", &m)
	}
	if !bytes.Contains(newest.body, []byte(`"height":`)) || bytes.Contains(newest.body, []byte(`"nextPage"`)) {
		t.Errorf("the names are not those of the contract: %s", newest.body)
	}
	tag := newest.header.Get("ETag")
	if want := `W/"` + w.chainID[len(w.chainID)-8:] + `-1"`; tag != want || newest.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("the newest state: ETag %q, want %q; Cache-Control %q", tag, want, newest.header.Get("Cache-Control"))
	}
	// The same name with an escaped slash, as clients write it that are made from the document.
	w.get("/v1/accounts/acme%2Fadmin").read(t, &m)

	same := w.get("/v1/accounts/acme/admin", "If-None-Match", `"other", `+tag)
	if same.status != http.StatusNotModified || len(same.body) != 0 || same.header.Get("ETag") != tag || same.header.Get("Vary") == "" {
		t.Errorf("unchanged: %d %v %s", same.status, same.header, same.body)
	}
	w.decide(2)
	if other := w.get("/v1/accounts/acme/admin", "If-None-Match", tag); other.status != http.StatusOK || other.header.Get("ETag") == tag {
		t.Errorf("after a block: %d, ETag %s", other.status, other.header.Get("ETag"))
	}
	past := w.get("/v1/accounts/acme/admin?height=1")
	past.read(t, &m)
	if past.header.Get("ETag") != tag || past.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("a past height: %v", past.header)
	}
	if private := w.get("/v1/accounts/acme/admin?height=1", "Authorization", "Bearer x"); private.header.Get("Cache-Control") != "private, max-age=31536000, immutable" {
		t.Errorf("with a token: %v", private.header)
	}
	for path, want := range map[string]string{
		"/v1/validators?height=1": "no-cache", "/v1/status": "no-cache", "/v1/accounts/acme/nobody?height=1": "no-store",
		"/v1/accounts/acme/admin?height=000": "no-cache",
	} {
		got := w.get(path)
		if got.header.Get("Cache-Control") != want || strings.Contains(path, "000") == (got.header.Get("ETag") == "") {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
	}
	head := w.ask(http.MethodHead, "/v1/accounts/acme/admin", nil)
	if head.status != http.StatusOK || head.header.Get("ETag") == "" || len(head.body) != 0 {
		t.Errorf("HEAD: %d %v %s", head.status, head.header, head.body)
	}
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	raw, id := w.create("acme/usd")
	text := hex.EncodeToString(id[:])
	body, err := json.Marshal(map[string]any{"tx": raw})
	if err != nil {
		t.Fatal(err)
	}
	for kind, content := range map[string][]byte{"application/json; charset=utf-8": body, "application/octet-stream": raw} {
		var m ledgerv1.SubmitResponse
		answer := w.ask(http.MethodPost, "/v1/transactions", content, "Content-Type", kind)
		answer.read(t, &m)
		if m.GetStatus() != ledgerv1.TxStatus_TX_STATUS_PENDING || !bytes.Equal(m.GetId(), id[:]) {
			t.Errorf("%s: %v", kind, &m)
		}
		if answer.header.Get("Location") != "/v1/transactions/"+text || answer.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", kind, answer.header)
		}
	}
	path := "/v1/transactions/" + text
	if pending := w.get(path); pending.header.Get("ETag") != "" || pending.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("pending: %v", pending.header)
	}
	w.decide(2, raw)
	for _, spelt := range []string{
		text, strings.ToUpper(text), base64.URLEncoding.EncodeToString(id[:]), base64.RawURLEncoding.EncodeToString(id[:]), text + "/wait",
	} {
		answer := w.get("/v1/transactions/" + spelt)
		m := &ledgerv1.GetTransactionResponse{}
		answer.read(t, m)
		if m.GetStatus() != ledgerv1.TxStatus_TX_STATUS_COMMITTED || m.GetOutcome().GetHeight() != 2 {
			t.Errorf("%s: %v", spelt, m)
		}
		if answer.header.Get("ETag") == "" || !strings.Contains(answer.header.Get("Cache-Control"), "immutable") {
			t.Errorf("committed: %v", answer.header)
		}
	}
	// Waiting for what is committed already answers at once.
	var m ledgerv1.SubmitResponse
	w.ask(http.MethodPost, "/v1/transactions?wait=true", raw, "Content-Type", "application/octet-stream").read(t, &m)
	if m.GetStatus() != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
		t.Errorf("sent again: %v", &m)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{grpc: func(c *grpcapi.Config) { c.MaxMessage = 1 << 16 }})
	raw, _ := w.create("acme/usd")
	octets := []string{"Content-Type", "application/octet-stream"}
	asJSON := []string{"Content-Type", "application/json"}
	large := bytes.Repeat([]byte{'x'}, 1<<16+1)
	for _, c := range []struct {
		method, path string
		body         []byte
		headers      []string
		status       int
		reason       string
	}{
		{"GET", "/v1/accounts/acme/nobody", nil, nil, 404, "NOT_FOUND"},
		{"GET", "/v1/accounts/acme/nobody?height=9", nil, nil, 400, "FUTURE"},
		{"GET", "/v1/accounts/ACME/nobody", nil, nil, 400, "BAD_NAME"},
		{"GET", "/v1/blocks/1", nil, nil, 410, "PRUNED"},
		{"GET", "/v1/blocks/first", nil, nil, 400, ""},
		{"GET", "/v1/accounts/acme/admin?height=-1", nil, nil, 400, ""},
		{"GET", "/v1/accounts/acme/admin?height=1&height=2", nil, nil, 400, ""},
		{"GET", "/v1/accounts/acme/admin?colour=red", nil, nil, 400, "PARAMETER"},
		{"GET", "/v1/accounts/acme/admin?minHeight=1", nil, nil, 400, "PARAMETER"},
		{"GET", "/v1/accounts/acme/admin?name=acme/other", nil, nil, 400, "PARAMETER"},
		{"GET", "/v1/accounts/acme/admin?%zz", nil, nil, 400, "PARAMETER"},
		{"GET", "/v1/accounts?page_size=100000", nil, nil, 400, "BAD_FIELD"},
		{"GET", "/v1/transactions/abc", nil, nil, 400, "ID"},
		{"GET", "/v1/transactions/" + strings.Repeat("zz", 32), nil, nil, 400, "ID"},
		{"GET", "/v1/holds/" + strings.Repeat("00", 31), nil, nil, 400, "ID"},
		{"GET", "/v1/watch?cursor=" + strings.Repeat("1", 100), nil, nil, 400, "PARAMETER"},
		{"GET", "/v1/watch?heartbeat_ms=1", nil, nil, 400, "BAD_FIELD"},
		{"GET", "/v1/watch?from_height=99", nil, nil, 400, "FUTURE"},
		{"HEAD", "/v1/watch", nil, nil, 405, ""},
		{"GET", "/", nil, nil, 404, "PATH"},
		{"GET", "/v1/accounts/acme", nil, nil, 404, "PATH"},
		{"GET", "/v1/accounts/acme/admin/", nil, nil, 404, "PATH"},
		{"GET", "/v1/" + strings.Repeat("x", 15<<10), nil, nil, 414, "TOO_LARGE"},
		{"DELETE", "/v1/accounts/acme/admin", nil, nil, 405, "METHOD"},
		{"POST", "/v1/status", nil, asJSON, 405, "METHOD"},
		{"GET", "/v1/transactions", nil, nil, 405, "METHOD"},
		{"GET", "/v1/status", []byte("{}"), nil, 413, "TOO_LARGE"},
		{"POST", "/v1/transactions", raw[:len(raw)-3], octets, 400, "MALFORMED"},
		{"POST", "/v1/transactions?wait=maybe", raw, octets, 400, "PARAMETER"},
		{"POST", "/v1/transactions?pause=1", raw, octets, 400, "PARAMETER"},
		{"POST", "/v1/transactions", nil, octets, 400, "MALFORMED"},
		{"POST", "/v1/transactions", large, octets, 413, "TOO_LARGE"},
		{"POST", "/v1/transactions", bytes.Repeat(large, 2), asJSON, 413, "TOO_LARGE"},
		{"POST", "/v1/transactions", []byte(`{"tx": "AAAA", "colour": 1}`), asJSON, 400, ""},
		{"POST", "/v1/transactions", []byte(`{"tx": "?"}`), asJSON, 400, ""},
		{"POST", "/v1/transactions", []byte(strings.Repeat(`{"tx":`, 9000)), asJSON, 400, ""},
		{"POST", "/v1/transactions", []byte("tx=AAAA"), []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "CONTENT_TYPE"},
		{"POST", "/v1/accounts/acme/admin", []byte("height=1"), []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "CONTENT_TYPE"},
		{"GET", "/v1/status", nil, []string{"Host", "evil.example"}, 421, "HOST"},
		{"GET", "/v1/status", nil, []string{"Grpc-Timeout", "soon"}, 400, ""},
	} {
		got := w.ask(c.method, c.path, c.body, c.headers...)
		if got.status != c.status {
			t.Errorf("%s %.60s: %d, want %d: %s", c.method, c.path, got.status, c.status, got.body)
			continue
		}
		if c.method == "HEAD" {
			continue
		}
		if reason := got.reason(t); reason != c.reason {
			t.Errorf("%s %.60s: reason %q, want %q: %s", c.method, c.path, reason, c.reason, got.body)
		}
		if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" ||
			got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %.60s: %v", c.method, c.path, got.header)
		}
		if c.status == http.StatusMethodNotAllowed && got.header.Get("Allow") == "" {
			t.Errorf("%s %s does not say what is allowed", c.method, c.path)
		}
	}
}

// TestLimitsCannotBeDodged: whatever a client writes into headers, it is the client at its address.
func TestLimitsCannotBeDodged(t *testing.T) {
	t.Parallel()
	const burst = 20
	w := newWorld(t, options{grpc: func(c *grpcapi.Config) { c.RatePerClient, c.Burst = 0.001, burst }})
	var refused said
	for i := range burst + 1 {
		other := fmt.Sprintf("10.0.0.%d:1000", i)
		answer := w.get("/v1/status", "X-Forwarded-For", other, "Forwarded", "for="+other, "X-Real-Ip", other, "Althing-Client", other,
			"Grpc-Metadata-Althing-Client", other, "Grpcgateway-Althing-Client", other, "Grpc-Metadata-Peer", other)
		if answer.status != http.StatusOK {
			if refused.status != 0 {
				t.Fatalf("refused after %d calls", i)
			}
			refused = answer
		}
	}
	if refused.status != http.StatusTooManyRequests || refused.reason(t) != "RATE" {
		t.Fatalf("the call beyond the rate: %d %s", refused.status, refused.body)
	}
	if seconds, err := strconv.Atoi(refused.header.Get("Retry-After")); err != nil || seconds < 500 {
		t.Errorf("Retry-After %q: %v", refused.header.Get("Retry-After"), err)
	}
}

func TestReadsForMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{genesis: func(g *genesisv1.Genesis) {
		g.Charter = &governancev1.Charter{ReadAccess: governancev1.ReadAccess_READ_ACCESS_MEMBERS}
	}})
	for _, path := range []string{"/v1/accounts/acme/admin", "/v1/watch", "/v1/charter"} {
		answer := w.get(path)
		if answer.status != http.StatusUnauthorized || answer.reason(t) != "TOKEN_REQUIRED" || !strings.HasPrefix(answer.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: %d %v %s", path, answer.status, answer.header, answer.body)
		}
		if answer = w.get(path, "Authorization", "Bearer nonsense"); answer.status != http.StatusUnauthorized || answer.reason(t) != "TOKEN_INVALID" {
			t.Errorf("%s with a bad token: %d %s", path, answer.status, answer.body)
		}
		// Nor by a way around the one header.
		if answer = w.get(path, "Grpc-Metadata-Authorization", "Bearer nonsense"); answer.reason(t) != "TOKEN_REQUIRED" {
			t.Errorf("%s with a header of the gateway: %d %s", path, answer.status, answer.body)
		}
	}
	if status := w.get("/v1/status"); status.status != http.StatusOK {
		t.Errorf("the status: %d %s", status.status, status.body)
	}
}

func TestBrowsers(t *testing.T) {
	t.Parallel()
	closed := newWorld(t, options{})
	open := newWorld(t, options{http: func(c *Config) {
		c.Origins, c.Hosts = []string{"https://app.example"}, []string{"ledger.example"}
	}})
	for _, c := range []struct {
		w       *world
		origin  string
		allowed bool
	}{{closed, "https://app.example", false}, {open, "https://app.example", true}, {open, "https://app.example.evil", false}, {open, "null", false}} {
		got := c.w.get("/v1/status", "Origin", c.origin)
		if allowed := got.header.Get("Access-Control-Allow-Origin") == c.origin; allowed != c.allowed {
			t.Errorf("%s: %v", c.origin, got.header)
		}
		preflight := c.w.ask(http.MethodOptions, "/v1/transactions", nil, "Origin", c.origin, "Access-Control-Request-Method", "POST")
		if allowed := preflight.header.Get("Access-Control-Allow-Headers") != ""; preflight.status != http.StatusNoContent || allowed != c.allowed {
			t.Errorf("preflight of %s: %d %v", c.origin, preflight.status, preflight.header)
		}
		if !strings.Contains(got.header.Get("Vary"), "Origin") || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", c.origin, got.header)
		}
	}
	for host, want := range map[string]int{
		"ledger.example": 200, "LEDGER.example:80": 200, "localhost:1": 200, "127.0.0.1": 200, "[::1]:80": 200, "10.1.2.3:80": 200,
		"evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:80": 421,
	} {
		if got := open.get("/v1/status", "Host", host); got.status != want {
			t.Errorf("host %s: %d, want %d", host, got.status, want)
		}
	}
}

// TestConnectionsAreBounded holds connections that say nothing: the client's next one is closed, and when one ends there is room.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{http: func(c *Config) { c.MaxConnections = 8 }})
	address := strings.TrimPrefix(w.url, "http://")
	var held []net.Conn
	for range 2 { // a quarter
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held = append(held, conn)
	}
	over, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	if _, err := over.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection beyond the bound: %v", err)
	}
	if err := held[0].Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		res, err := http.Get(w.url + "/v1/status")
		if err == nil {
			res.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestRequestsAreBounded has one client take its share of the places.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	var leaves []func()
	for {
		leave, err := w.api.Enter(clientAddress("127.0.0.1:1"))
		if err != nil {
			break
		}
		leaves = append(leaves, leave)
	}
	if len(leaves) != 1024 {
		t.Errorf("one client has %d places", len(leaves))
	}
	full := w.get("/v1/status")
	if full.status != http.StatusTooManyRequests || full.reason(t) != "FULL" || full.header.Get("Retry-After") != "1" {
		t.Errorf("%d %v %s", full.status, full.header, full.body)
	}
	if leave, err := w.api.Enter(clientAddress("192.0.2.1:1")); err != nil {
		t.Errorf("another client: %v", err)
	} else {
		leave()
	}
	for _, leave := range leaves {
		leave()
	}
	if again := w.get("/v1/status"); again.status != http.StatusOK {
		t.Errorf("%d %s", again.status, again.body)
	}
}

// TestLargeBodiesAreBounded has one client take its share of the places for large bodies: small ones still pass.
func TestLargeBodiesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for range 16 {
		leave, err := w.api.EnterLarge(clientAddress("127.0.0.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	octets := []string{"Content-Type", "application/octet-stream"}
	small, large := bytes.Repeat([]byte{'x'}, smallBody), bytes.Repeat([]byte{'x'}, smallBody+1)
	if a := w.ask("POST", "/v1/transactions", large, octets...); a.status != http.StatusTooManyRequests || a.reason(t) != "FULL" {
		t.Errorf("a large body: %d %s", a.status, a.body)
	}
	if a := w.ask("POST", "/v1/transactions", small, octets...); a.status != http.StatusBadRequest {
		t.Errorf("a small body: %d %s", a.status, a.body)
	}
	if leave, err := w.api.EnterLarge(clientAddress("192.0.2.1:1")); err != nil {
		t.Errorf("another client: %v", err)
	} else {
		leave()
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	answer := w.get("/v1/openapi.json")
	if answer.status != http.StatusOK || answer.header.Get("Content-Type") != "application/json" || !json.Valid(answer.body) {
		t.Fatalf("%d %v", answer.status, answer.header)
	}
	var document struct {
		Swagger string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal(answer.body, &document); err != nil {
		t.Fatal(err)
	}
	if document.Swagger != "2.0" || len(document.Paths) < 30 {
		t.Errorf("version %s, %d paths", document.Swagger, len(document.Paths))
	}
	// Every path that it names has a route: what is asked is refused by what it says, not by there being nothing.
	for path, methods := range document.Paths {
		for method := range methods {
			filled := strings.NewReplacer("{name}", "a/b", "{account}", "a/b", "{asset}", "a/b", "{collection}", "a/b", "{record}", "a/b/c",
				"{id}", "0", "{hold_id}", "0", "{height}", "x").Replace(path)
			for _, single := range []string{"/v1/orgs/", "/v1/nodes/"} {
				if strings.HasPrefix(filled, single) {
					filled = single + "a"
				}
			}
			got := w.ask(strings.ToUpper(method), filled+"?no_such_parameter=1", nil, "Content-Type", "application/json")
			if got.status != http.StatusBadRequest || got.reason(t) != "PARAMETER" {
				t.Errorf("%s %s: %d %s", method, filled, got.status, got.body)
			}
		}
	}
}

// FuzzPath sends paths, queries and headers that strangers think of: each is answered, by an error that says why or by an answer,
// and none by a fault of the node.
func FuzzPath(f *testing.F) {
	w := newWorld(f, options{})
	f.Add("/v1/accounts/acme/admin", "height=1", "1")
	f.Add("/v1/transactions/"+strings.Repeat("ab", 32), "prove=true", "")
	f.Add("/v1/records/acme%2Finvoices/2026%252F1/history", "page_size=1&page=AA", "1.2.3")
	f.Add("/v1/transactions/"+base64.URLEncoding.EncodeToString(make([]byte, 32)), "expires_at=2026-01-01T00:00:00Z", "")
	f.Add("/v1/blocks/18446744073709551615", "header_only=1", "")
	f.Add("/v1/lineage", "genesis=true", "")
	f.Fuzz(func(t *testing.T, path, query, last string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = "//" + req.URL.Host + path
		req.URL.RawQuery = query
		req.Header.Set("Last-Event-ID", last)
		req.Header.Set("Grpc-Timeout", "100m") // for watches, and for heights to come
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Skip() // it is no request
		}
		defer res.Body.Close()
		if res.StatusCode == http.StatusInternalServerError {
			t.Errorf("GET %q?%q: %s", path, query, res.Status)
		}
	})
}

func FuzzID(f *testing.F) {
	f.Add(strings.Repeat("ab", 32))
	f.Add(base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xff}, 16)))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		read, err := pathID(text)
		if err != nil {
			return
		}
		id, err := base64.URLEncoding.DecodeString(read)
		if err != nil || len(id) != idSize {
			t.Fatalf("%q was read as %q", text, read)
		}
		// Each spelling means one id, and the id has each of them.
		if !strings.EqualFold(text, hex.EncodeToString(id)) && text != base64.URLEncoding.EncodeToString(id) && text != base64.RawURLEncoding.EncodeToString(id) {
			t.Errorf("%q was read as %x", text, id)
		}
	})
}
