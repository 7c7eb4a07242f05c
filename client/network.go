package client

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/althing-ledger/althing/internal/files"
	"github.com/althing-ledger/althing/proto/names"
)

// NetworkFileName is the name of the network file in the directory of a network.
const NetworkFileName = "network.json"

// networkFormat is the version of the network file that this version writes and reads.
const networkFormat = 1

// maxNetworkFile bounds in bytes what LoadNetwork reads.
const maxNetworkFile = 1 << 20

// Network says how a client finds a network, which one it is, and where its keys lie. It is the content of a network file.
type Network struct {
	// Format is 1; SaveNetwork fills it in.
	Format int `json:"format"`
	// ChainID is the network's name and the first eight hex digits of GenesisHash.
	ChainID string `json:"chain_id"`
	// GenesisHash is the SHA-256 of the genesis document, 64 hex digits.
	GenesisHash string `json:"genesis_hash"`
	// Nodes are tried in this order.
	Nodes []Node `json:"nodes"`
	// KeysDir is the directory of key files: KEYS/ORG/ACCOUNT.json. In the file a relative path is relative to the file;
	// LoadNetwork makes it absolute. Empty for none.
	KeysDir string `json:"keys"`
}

// Node is a node that serves clients.
type Node struct {
	// Name is the node's name on the ledger, such as `acme-1`.
	Name string `json:"name"`
	Org  string `json:"org"`
	// GRPC is where the node serves gRPC: host:port.
	GRPC string `json:"grpc"`
	// Home is the node's directory where it runs on this machine; relative like KeysDir. Empty for a node elsewhere.
	Home string `json:"home"`
	// TLSCertificate is the PEM of the certificate that the node presents: this very one, whoever signed it. Empty for
	// plaintext, which is for loopback addresses only unless Plaintext says otherwise.
	TLSCertificate string `json:"tls_certificate"`
	// Plaintext allows a connection without TLS to an address that is not loopback, as inside a private container network.
	Plaintext bool `json:"plaintext,omitempty"`
}

// LoadNetwork reads a network file; a directory stands for the file network.json in it. It returns [ErrNetworkFile] for
// a file that cannot be read, has unknown fields, or is refused by [Network.Validate].
func LoadNetwork(path string) (*Network, error) {
	path, err := networkPath(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNetworkFile, err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxNetworkFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNetworkFile, err)
	}
	n, err := decodeNetwork(data)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrNetworkFile, path, err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrNetworkFile, path, err)
	}
	absolute := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	absolute(&n.KeysDir)
	for i := range n.Nodes {
		absolute(&n.Nodes[i].Home)
	}
	return n, nil
}

func decodeNetwork(data []byte) (*Network, error) {
	if len(data) > maxNetworkFile {
		return nil, fmt.Errorf("more than %d bytes", maxNetworkFile)
	}
	n := new(Network)
	if err := decodeStrict(data, n); err != nil {
		return nil, err
	}
	if n.Format != networkFormat {
		return nil, fmt.Errorf("format %d, this version knows %d", n.Format, networkFormat)
	}
	return n, n.Validate()
}

// decodeStrict decodes one JSON value without unknown fields and with nothing behind it.
func decodeStrict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}

func networkPath(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return filepath.Join(path, NetworkFileName), nil
	case err == nil && !info.Mode().IsRegular():
		return "", fmt.Errorf("%w: %s is not a regular file", ErrNetworkFile, path)
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrNetworkFile, err)
	}
	return path, nil
}

// SaveNetwork writes a network file, or network.json in path if that is a directory. The file appears whole or not at
// all and replaces an earlier one. Absolute paths below the file's directory are written relative to it, so that the
// directory can be moved. The network must pass [Network.Validate].
func SaveNetwork(path string, n *Network) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, NetworkFileName)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("save network file: %w", err)
	}
	if err := n.Validate(); err != nil {
		return fmt.Errorf("save network file: %w: %w", ErrNetworkFile, err)
	}
	relative := func(p string) string {
		if rel, err := filepath.Rel(dir, p); filepath.IsAbs(p) && err == nil && filepath.IsLocal(rel) {
			return rel
		}
		return p
	}
	written := *n
	written.Format = networkFormat
	written.KeysDir = relative(n.KeysDir)
	written.Nodes = append([]Node(nil), n.Nodes...)
	for i := range written.Nodes {
		written.Nodes[i].Home = relative(written.Nodes[i].Home)
	}
	data, err := json.MarshalIndent(written, "", "  ")
	if err != nil {
		return fmt.Errorf("save network file: %w", err)
	}
	if err := files.Replace(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("save network file: %w", err)
	}
	return nil
}

// Validate returns everything that is wrong with the network, or nil.
func (n *Network) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	hash, err := hex.DecodeString(n.GenesisHash)
	if err != nil || len(hash) != 32 || strings.ToLower(n.GenesisHash) != n.GenesisHash {
		bad("genesis_hash %.80q is not 64 lower-case hex digits", n.GenesisHash)
	} else if name, found := strings.CutSuffix(n.ChainID, "-"+n.GenesisHash[:8]); !found || names.Network(name) != nil {
		bad("chain_id %.80q is not a network's name, a dash and the first eight digits of genesis_hash", n.ChainID)
	}
	if len(n.Nodes) == 0 {
		bad("no nodes: list at least one")
	}
	seen := map[string]bool{}
	for i := range n.Nodes {
		node := &n.Nodes[i]
		if err := names.Node(node.Name); err != nil {
			bad("nodes[%d]: %w", i, err)
		} else if seen[node.Name] {
			bad("nodes[%d]: %q is listed twice", i, node.Name)
		}
		seen[node.Name] = true
		if err := node.validate(); err != nil {
			bad("nodes[%d] %.40q: %w", i, node.Name, err)
		}
	}
	return errors.Join(problems...)
}

// Hash returns the genesis hash, 32 bytes. It returns [ErrNetworkFile] for a network that [Network.Validate] refuses.
func (n *Network) Hash() ([]byte, error) {
	hash, err := hex.DecodeString(n.GenesisHash)
	if err != nil || len(hash) != 32 {
		return nil, fmt.Errorf("%w: genesis_hash %.80q is not 64 hex digits", ErrNetworkFile, n.GenesisHash)
	}
	return hash, nil
}

func (n *Node) validate() error {
	if err := names.Org(n.Org); err != nil {
		return err
	}
	host, err := hostOf(n.GRPC)
	if err != nil {
		return err
	}
	if n.TLSCertificate == "" {
		if !n.Plaintext && !isLoopback(host) {
			return fmt.Errorf("grpc %s is not loopback and has no tls_certificate: give it one, or say \"plaintext\": true", n.GRPC)
		}
		return nil
	}
	if n.Plaintext {
		return errors.New("has a tls_certificate and says plaintext: choose one")
	}
	_, err = parseCertificate(n.TLSCertificate)
	return err
}

// hostOf checks an address of the form host:port and returns the host.
func hostOf(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return "", fmt.Errorf("grpc %.80q is not HOST:PORT", address)
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return "", fmt.Errorf("grpc %.80q is not HOST:PORT with a port from 1 to 65535", address)
	}
	return host, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func parseCertificate(text string) (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("tls_certificate is not the PEM of one certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("tls_certificate: %w", err)
	}
	return certificate, nil
}
