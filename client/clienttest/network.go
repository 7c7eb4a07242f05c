package clienttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
)

// Network is a ledger, the nodes that serve it, and what a client needs to find them. Its orgs are acme, globex, initech
// and umbrella, each with the accounts ORG/admin and ORG/treasury.
type Network struct {
	// Dir holds network.json and keys, as `althing testnet up` would leave it.
	Dir    string
	Ledger *Ledger
	Nodes  []*Node
}

// Start serves a new ledger at a number of nodes on free ports of the loopback interface until the test ends.
func Start(t testing.TB, nodes int) *Network { return start(t, nodes, false) }

// StartTLS is Start with a certificate for every node.
func StartTLS(t testing.TB, nodes int) *Network { return start(t, nodes, true) }

func start(t testing.TB, nodes int, secure bool) *Network {
	t.Helper()
	n := &Network{Dir: t.TempDir(), Ledger: newLedger("test")}
	orgs := []string{"acme", "globex", "initech", "umbrella"}
	for _, org := range orgs {
		n.addAccount(t, org+"/admin", "admin", "issuer", "payer", "writer")
		n.addAccount(t, org+"/treasury", "payer")
	}
	file := &client.Network{
		ChainID: n.Ledger.ChainID, GenesisHash: hex.EncodeToString(n.Ledger.GenesisHash[:]), KeysDir: "keys",
	}
	for i := range nodes {
		org := orgs[i%len(orgs)]
		node := &Node{Name: fmt.Sprintf("%s-%d", org, i/len(orgs)+1), Org: org, ledger: n.Ledger, calls: map[string]int{}}
		listed := client.Node{Name: node.Name, Org: org, Home: node.Name}
		if secure {
			node.credentials, listed.TLSCertificate = certificate(t)
		}
		node.Start(t)
		t.Cleanup(node.Stop)
		listed.GRPC = node.Address
		n.Nodes = append(n.Nodes, node)
		file.Nodes = append(file.Nodes, listed)
	}
	if err := client.SaveNetwork(n.Dir, file); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *Network) addAccount(t testing.TB, name string, roles ...string) {
	t.Helper()
	key, err := keys.Generate(keys.SchemeSchnorr, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(n.Dir, "keys", name+".json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := keys.SaveFile(path, key); err != nil {
		t.Fatal(err)
	}
	n.Ledger.addAccount(name, roles, key.Public())
}

// Load reads the network file.
func (n *Network) Load(t testing.TB) *client.Network {
	t.Helper()
	loaded, err := client.LoadNetwork(n.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// Dial returns a client that is closed when the test ends. It believes what the nodes answer: this ledger proves nothing.
func (n *Network) Dial(t testing.TB, config client.Config) *client.Client {
	t.Helper()
	config.Unverified = true
	c, err := client.Dial(n.Load(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Signer returns an account with the keys of its key files.
func (n *Network) Signer(t testing.TB, account string) client.Signer {
	t.Helper()
	loaded, err := n.Load(t).Keys(account)
	if err != nil {
		t.Fatal(err)
	}
	return client.Signer{Account: account, Keys: loaded}
}

// certificate makes a key and a certificate that names nobody, because clients pin it.
func certificate(t testing.TB) (credentials.TransportCredentials, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return credentials.NewServerTLSFromCert(&own), string(text)
}
