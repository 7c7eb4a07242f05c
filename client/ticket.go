package client

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protojson"

	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	"github.com/althing-ledger/althing/proto/names"
)

const (
	// ticketFormat is the version of tickets that this version reads.
	ticketFormat = 1
	// maxTicket bounds a ticket in bytes: the largest genesis document in base64, and the nodes.
	maxTicket = 24 << 20
	// maxGenesis bounds a genesis document in bytes.
	maxGenesis = 16 << 20
)

// NetworkFromTicket makes a network of a ticket, as `althing network ticket` writes it for nodes that join: its genesis document
// says which ledger it is, and the nodes are those of the ticket that clients can reach, in its order. It names no keys. Whoever
// uses a ticket trusts who wrote it to have named the right network; nothing that the nodes answer is trusted for that. It
// returns [ErrNetworkFile] for what is no ticket, and for one that names no node for clients.
func NetworkFromTicket(ticket []byte) (*Network, error) {
	if len(ticket) > maxTicket {
		return nil, fmt.Errorf("%w: the ticket has %d bytes, at most %d are allowed", ErrNetworkFile, len(ticket), maxTicket)
	}
	var file struct {
		Format  int             `json:"format"`
		ChainID string          `json:"chain_id"`
		Genesis string          `json:"genesis"`
		Anchor  json.RawMessage `json:"anchor"`
		Nodes   []struct {
			Name           string   `json:"name"`
			Org            string   `json:"org"`
			NodeKey        string   `json:"node_key"`
			Addresses      []string `json:"addresses"`
			GRPC           string   `json:"grpc"`
			TLSCertificate string   `json:"tls_certificate"`
		} `json:"nodes"`
	}
	if err := decodeStrict(ticket, &file); err != nil {
		return nil, fmt.Errorf("%w: not a ticket: %w", ErrNetworkFile, err)
	}
	if file.Format != ticketFormat {
		return nil, fmt.Errorf("%w: the ticket has format %d, this version reads %d", ErrNetworkFile, file.Format, ticketFormat)
	}
	genesis, err := base64.StdEncoding.Strict().DecodeString(file.Genesis)
	if err != nil {
		return nil, fmt.Errorf("%w: the ticket's genesis is not base64", ErrNetworkFile)
	}
	var nodes []Node
	for _, n := range file.Nodes {
		host, err := hostOf(n.GRPC)
		if err != nil || n.TLSCertificate == "" && !isLoopback(host) {
			continue // for the mesh only, or without the certificate that would tell it from others
		}
		nodes = append(nodes, Node{Name: n.Name, Org: n.Org, GRPC: n.GRPC, TLSCertificate: n.TLSCertificate})
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("%w: the ticket names no node that clients can reach with a certificate", ErrNetworkFile)
	}
	network, err := NetworkFromGenesis(genesis, nodes...)
	if err != nil {
		return nil, err
	}
	if network.ChainID != file.ChainID {
		return nil, fmt.Errorf("%w: the ticket is for %.80q, its genesis document is that of %s", ErrNetworkFile, file.ChainID, network.ChainID)
	}
	return network, nil
}

// NetworkFromGenesis makes a network of its genesis document, byte for byte as the network began with it, and the nodes to ask.
// It names no keys. It returns [ErrNetworkFile] for what is no such document, and for nodes that [Network.Validate] refuses.
func NetworkFromGenesis(genesis []byte, nodes ...Node) (*Network, error) {
	if len(genesis) > maxGenesis {
		return nil, fmt.Errorf("%w: the genesis document has %d bytes, at most %d are allowed", ErrNetworkFile, len(genesis), maxGenesis)
	}
	doc := new(genesisv1.Genesis)
	// What the document says beside the network's name is for the nodes to judge; it may be of a later version.
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(genesis, doc); err != nil {
		return nil, fmt.Errorf("%w: not a genesis document: %w", ErrNetworkFile, err)
	}
	if err := names.Network(doc.Name); err != nil {
		return nil, fmt.Errorf("%w: genesis document: %w", ErrNetworkFile, err)
	}
	hash := sha256.Sum256(genesis)
	network := &Network{
		Format: networkFormat, ChainID: doc.Name + "-" + hex.EncodeToString(hash[:4]), GenesisHash: hex.EncodeToString(hash[:]), Nodes: nodes,
	}
	if err := network.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNetworkFile, err)
	}
	return network, nil
}

// ReadNetwork reads a network from what people have of it: a network file, the directory of one, or a ticket. It returns
// [ErrNetworkFile] for anything else.
func ReadNetwork(path string) (*Network, error) {
	network, notNetwork := LoadNetwork(path)
	if notNetwork == nil {
		return network, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, notNetwork
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxTicket+1))
	if err != nil {
		return nil, notNetwork
	}
	var ticket struct {
		Genesis *string `json:"genesis"`
	}
	if json.Unmarshal(data, &ticket) != nil || ticket.Genesis == nil {
		return nil, notNetwork
	}
	if network, err = NetworkFromTicket(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return network, nil
}
