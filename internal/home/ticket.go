package home

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/names"
)

const (
	// ticketFormat is the version of tickets and of lists of members that this program writes and reads.
	ticketFormat = 1
	// maxTicketBytes bounds a ticket: the largest genesis document in base64, and the nodes.
	maxTicketBytes = 24 << 20
	// maxMembersBytes bounds a list of members.
	maxMembersBytes = 4 << 20
	// maxTicketNodes bounds the nodes that a ticket names.
	maxTicketNodes = 1000
	// maxAddresses and maxAddress bound the addresses of one node, as the ledger does.
	maxAddresses = 8
	maxAddress   = 253 + 1 + 5
	// chainHashDigits is how many digits of the hash of the genesis document stand in a chain id.
	chainHashDigits = 8
)

// ErrTicket is returned for a ticket, or a list of members, that is damaged.
const ErrTicket = ErrorKind("invalid ticket")

// Ticket is what a node needs to find a network and to know that it is the right one. It holds nothing that is secret, but
// whoever uses it trusts who wrote it: it says what the network is.
type Ticket struct {
	ChainID string
	// Genesis is the content of the genesis document, byte for byte.
	Genesis []byte
	Anchor  Anchor
	// Nodes are those that the ledger listed at the anchor's height.
	Nodes []Contact
}

// Anchor is a block that whoever wrote a ticket had in the ledger: what a new node is shown must lead to it.
type Anchor struct {
	// Height is 0 for a network that has not begun.
	Height uint64
	// BlockHash has 32 bytes, none for height 0.
	BlockHash []byte
	// AppHash has 32 bytes; for height 0 it is the hash of the genesis document.
	AppHash []byte
}

// Contact is a node as a ticket or a list of members names it.
type Contact struct {
	Name string
	Org  string
	// NodeKey is the Ed25519 key of its connections, 32 bytes.
	NodeKey []byte
	// Addresses are where the mesh reaches it, host:port; none for a node that only dials.
	Addresses []string
	// GRPC is where clients reach it, host:port, and TLSCertificate the PEM of the certificate that it presents. Empty where
	// that is not known; never in a list of members.
	GRPC           string
	TLSCertificate string
}

// Members is the list of the nodes that a home was joined with. It seeds the mesh of a node that does not know the registry
// yet.
type Members struct {
	// AsOf is the height at which the ledger listed them, and BlockHash the hash of its block, 32 bytes, none for height 0: what
	// the node is shown must contain it.
	AsOf      uint64
	BlockHash []byte
	Nodes     []Contact
}

type ticketFile struct {
	Format  int           `json:"format"`
	ChainID string        `json:"chain_id"`
	Genesis string        `json:"genesis"`
	Anchor  anchorFile    `json:"anchor"`
	Nodes   []contactFile `json:"nodes"`
}

type anchorFile struct {
	Height    uint64 `json:"height"`
	BlockHash string `json:"block_hash"`
	AppHash   string `json:"app_hash"`
}

type contactFile struct {
	Name           string   `json:"name"`
	Org            string   `json:"org"`
	NodeKey        string   `json:"node_key"`
	Addresses      []string `json:"addresses"`
	GRPC           string   `json:"grpc,omitempty"`
	TLSCertificate string   `json:"tls_certificate,omitempty"`
}

type membersFile struct {
	Format    int           `json:"format"`
	AsOf      uint64        `json:"as_of"`
	BlockHash string        `json:"block_hash"`
	Nodes     []contactFile `json:"nodes"`
}

// Members is the path of the list of nodes that the home was joined with.
func (d Dir) Members() string { return d.path("members.json") }

// Encode returns the content of the ticket file. The error is [ErrTicket] for what DecodeTicket would refuse.
func (t *Ticket) Encode() ([]byte, error) {
	file := ticketFile{
		Format:  ticketFormat,
		ChainID: t.ChainID,
		Genesis: base64.StdEncoding.EncodeToString(t.Genesis),
		Anchor: anchorFile{
			Height: t.Anchor.Height, BlockHash: hex.EncodeToString(t.Anchor.BlockHash), AppHash: hex.EncodeToString(t.Anchor.AppHash),
		},
		Nodes: contactFiles(t.Nodes),
	}
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTicket, err)
	}
	return encodeFile(file)
}

// DecodeTicket reads the content of a ticket. The error is [ErrTicket]. That the document can begin a network is for the
// state machine to say.
func DecodeTicket(data []byte) (*Ticket, error) {
	var file ticketFile
	if err := decodeFile(data, maxTicketBytes, &file); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTicket, err)
	}
	if file.Format != ticketFormat {
		return nil, fmt.Errorf("%w: format is %d, this program reads %d", ErrTicket, file.Format, ticketFormat)
	}
	t := &Ticket{ChainID: file.ChainID, Anchor: Anchor{Height: file.Anchor.Height}}
	var err error
	if t.Genesis, err = base64.StdEncoding.Strict().DecodeString(file.Genesis); err != nil {
		return nil, fmt.Errorf("%w: genesis is not base64", ErrTicket)
	}
	if t.Anchor.BlockHash, err = parseHex(file.Anchor.BlockHash); err != nil {
		return nil, fmt.Errorf("%w: block_hash: %w", ErrTicket, err)
	}
	if t.Anchor.AppHash, err = parseHex(file.Anchor.AppHash); err != nil {
		return nil, fmt.Errorf("%w: app_hash: %w", ErrTicket, err)
	}
	if t.Nodes, err = contacts(file.Nodes); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTicket, err)
	}
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTicket, err)
	}
	return t, nil
}

// ReadTicket reads a ticket file. The error is [ErrTicket], or one of the file system.
func ReadTicket(path string) (*Ticket, error) {
	data, err := readBounded(path, maxTicketBytes)
	if err != nil {
		return nil, err
	}
	t, err := DecodeTicket(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func (t *Ticket) validate() error {
	if len(t.Genesis) == 0 || len(t.Genesis) > maxGenesisBytes {
		return fmt.Errorf("the genesis document has %d bytes, want 1 to %d", len(t.Genesis), maxGenesisBytes)
	}
	hash := sha256.Sum256(t.Genesis)
	name, found := strings.CutSuffix(t.ChainID, "-"+hex.EncodeToString(hash[:])[:chainHashDigits])
	if !found || names.Network(name) != nil {
		return fmt.Errorf("chain_id %.60q is not a name, a dash and the first eight digits of the hash of the genesis document, %x",
			t.ChainID, hash[:4])
	}
	switch a := t.Anchor; {
	case len(a.AppHash) != sha256.Size:
		return fmt.Errorf("app_hash has %d bytes, want %d", len(a.AppHash), sha256.Size)
	case a.Height == 0 && (len(a.BlockHash) != 0 || string(a.AppHash) != string(hash[:])):
		return errors.New("before the first block there is no block_hash, and the app_hash is the hash of the genesis document")
	case a.Height > 0 && len(a.BlockHash) != sha256.Size:
		return fmt.Errorf("block_hash has %d bytes, want %d", len(a.BlockHash), sha256.Size)
	}
	return checkContacts(t.Nodes)
}

// members returns what a home keeps of the ticket's nodes.
func (t *Ticket) members() *Members {
	m := &Members{AsOf: t.Anchor.Height, BlockHash: t.Anchor.BlockHash}
	for _, c := range t.Nodes {
		c.GRPC, c.TLSCertificate = "", ""
		m.Nodes = append(m.Nodes, c)
	}
	return m
}

func (m *Members) encode() ([]byte, error) {
	return encodeFile(membersFile{Format: ticketFormat, AsOf: m.AsOf, BlockHash: hex.EncodeToString(m.BlockHash), Nodes: contactFiles(m.Nodes)})
}

// DecodeMembers reads the content of a list of members. The error is [ErrTicket].
func DecodeMembers(data []byte) (Members, error) {
	var file membersFile
	if err := decodeFile(data, maxMembersBytes, &file); err != nil {
		return Members{}, fmt.Errorf("%w: %w", ErrTicket, err)
	}
	if file.Format != ticketFormat {
		return Members{}, fmt.Errorf("%w: format is %d, this program reads %d", ErrTicket, file.Format, ticketFormat)
	}
	m := Members{AsOf: file.AsOf}
	var err error
	if m.BlockHash, err = parseHex(file.BlockHash); err == nil && len(m.BlockHash) != 0 && len(m.BlockHash) != sha256.Size {
		err = fmt.Errorf("block_hash has %d bytes, want %d", len(m.BlockHash), sha256.Size)
	}
	if err == nil {
		m.Nodes, err = contacts(file.Nodes)
	}
	if err == nil {
		err = checkContacts(m.Nodes)
	}
	if err != nil {
		return Members{}, fmt.Errorf("%w: %w", ErrTicket, err)
	}
	return m, nil
}

// ReadMembers reads the list of the nodes that a home was joined with. A home that was not joined has none, which is no
// error. The error is [ErrTicket], or one of the file system.
func ReadMembers(dir Dir) (Members, error) {
	data, err := readBounded(dir.Members(), maxMembersBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return Members{}, nil
	}
	if err != nil {
		return Members{}, fmt.Errorf("read members: %w", err)
	}
	m, err := DecodeMembers(data)
	if err != nil {
		return Members{}, fmt.Errorf("read members: %s: %w", dir.Members(), err)
	}
	return m, nil
}

func contactFiles(all []Contact) []contactFile {
	files := []contactFile{}
	for _, c := range all {
		files = append(files, contactFile{
			Name: c.Name, Org: c.Org, NodeKey: hex.EncodeToString(c.NodeKey), Addresses: append([]string{}, c.Addresses...),
			GRPC: c.GRPC, TLSCertificate: c.TLSCertificate,
		})
	}
	return files
}

func contacts(files []contactFile) ([]Contact, error) {
	var all []Contact
	for i, f := range files {
		key, err := parseHex(f.NodeKey)
		if err != nil {
			return nil, fmt.Errorf("nodes[%d]: node_key: %w", i, err)
		}
		all = append(all, Contact{f.Name, f.Org, key, f.Addresses, f.GRPC, f.TLSCertificate})
	}
	return all, nil
}

// parseHex reads hex digits in the one form that is written.
func parseHex(text string) ([]byte, error) {
	value, err := hex.DecodeString(text)
	if err != nil || hex.EncodeToString(value) != text {
		return nil, fmt.Errorf("%.80q is not an even number of lower-case hex digits", text)
	}
	return value, nil
}

func checkContacts(all []Contact) error {
	if len(all) == 0 || len(all) > maxTicketNodes {
		return fmt.Errorf("it names %d nodes, want 1 to %d", len(all), maxTicketNodes)
	}
	seen := map[string]bool{}
	for i, c := range all {
		if err := c.validate(); err != nil {
			return fmt.Errorf("nodes[%d]: %w", i, err)
		}
		if seen[c.Name] || seen[string(c.NodeKey)] {
			return fmt.Errorf("nodes[%d]: the name or the key of %s stands twice", i, c.Name)
		}
		seen[c.Name], seen[string(c.NodeKey)] = true, true
	}
	return nil
}

func (c Contact) validate() error {
	if err := names.Node(c.Name); err != nil {
		return err
	}
	if err := names.Org(c.Org); err != nil {
		return err
	}
	if _, err := keys.ParsePublicKey(keys.SchemeEd25519, c.NodeKey); err != nil {
		return fmt.Errorf("node_key of %s: %w", c.Name, err)
	}
	if len(c.TLSCertificate) > 64<<10 {
		return fmt.Errorf("tls_certificate of %s has %d bytes, at most %d", c.Name, len(c.TLSCertificate), 64<<10)
	}
	if c.GRPC != "" {
		if err := checkAddress(c.GRPC); err != nil {
			return fmt.Errorf("grpc of %s: %w", c.Name, err)
		}
	}
	if err := checkAddresses(c.Addresses); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}

func checkAddresses(all []string) error {
	if len(all) > maxAddresses {
		return fmt.Errorf("it has %d addresses, at most %d are allowed", len(all), maxAddresses)
	}
	for i, address := range all {
		if err := checkAddress(address); err != nil {
			return fmt.Errorf("addresses[%d]: %w", i, err)
		}
	}
	return nil
}

// checkAddress checks the form host:port; what hosts there are, the ledger says.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || len(address) > maxAddress {
		return fmt.Errorf("%.80q is not HOST:PORT", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%.80q is not HOST:PORT with a port from 1 to 65535", address)
	}
	return nil
}
