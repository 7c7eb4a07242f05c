package client

import (
	"testing"

	"github.com/althing-ledger/althing/keys"
)

// TestTokensInClear gives a token to a connection only where nobody else listens, or the file says that it does not matter.
func TestTokensInClear(t *testing.T) {
	t.Parallel()
	key, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	source, err := NewTokenSource("acme/admin", key)
	if err != nil {
		t.Fatal(err)
	}
	b := newBearer(&Network{ChainID: "test-01234567"}, Config{Token: source}.withDefaults())
	for name, c := range map[string]struct {
		node    Node
		carries bool
		secure  bool
	}{
		"TLS anywhere":           {Node{GRPC: "10.0.0.1:9090", TLSCertificate: "PEM"}, true, true},
		"TLS on loopback":        {Node{GRPC: "127.0.0.1:9090", TLSCertificate: "PEM"}, true, true},
		"plaintext on loopback":  {Node{GRPC: "127.0.0.1:9090"}, true, false},
		"plaintext on loopback6": {Node{GRPC: "[::1]:9090"}, true, false},
		"plaintext as allowed":   {Node{GRPC: "node:9090", Plaintext: true}, true, false},
		"plaintext elsewhere":    {Node{GRPC: "10.0.0.1:9090"}, false, false},
		"plaintext by name":      {Node{GRPC: "localhost.example.com:9090"}, false, false},
		"no address":             {Node{GRPC: "nonsense"}, false, false},
	} {
		if got := len(asReader(b, c.node)) > 0; got != c.carries {
			t.Errorf("%s: %v", name, got)
		}
		if got := (tokenCredentials{b, c.node.TLSCertificate != ""}).RequireTransportSecurity(); got != c.secure {
			t.Errorf("%s: needs TLS: %v", name, got)
		}
	}
	if asReader(nil, Node{GRPC: "127.0.0.1:9090"}) != nil {
		t.Error("without a source of tokens")
	}
}
