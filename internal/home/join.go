package home

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

const (
	// memberFormat is the version of member files that this program writes and reads.
	memberFormat = 1
	// maxMemberBytes bounds a member file. One node and one account take about 2 KB.
	maxMemberBytes = 1 << 20
	// maxMemberAccounts and maxMemberNodes bound what one organisation brings along.
	maxMemberAccounts = 100
	maxMemberNodes    = 100
	// memberSuffix ends the name of every member file.
	memberSuffix = ".member.json"
)

// ErrMember is returned for a member file that is damaged, or whose proofs do not fit.
const ErrMember = ErrorKind("invalid member file")

// Member is what an organisation brings into a network: what others need of it, and nothing that is secret. `network new`
// makes a genesis document of several; a proposal admits one.
type Member struct {
	Org string
	// Accounts are those that the organisation begins with. Whoever lists nodes of an organisation that is a member
	// already passes over them.
	Accounts []*accountsv1.Create
	// Nodes come with the proofs that their owner has the keys.
	Nodes []*membershipv1.AddNode
}

// memberFile is the JSON of a member file. Accounts and nodes are in the JSON form of protobuf.
type memberFile struct {
	Format   int               `json:"format"`
	Org      string            `json:"org"`
	Accounts []json.RawMessage `json:"accounts"`
	Nodes    []json.RawMessage `json:"nodes"`
}

// MemberFile is the path of the member file that stands in the home of a node.
func (d Dir) MemberFile(org, node string) string {
	if !strings.HasPrefix(node, org+"-") {
		node = org + "-" + node
	}
	return d.path(node + memberSuffix)
}

// Listing returns what lists a node on the ledger, with the proofs that its owner has the keys. The zero validator key is
// that of an observer, whose power is 0.
func Listing(c Config, node, validator keys.PrivateKey, power uint64, addresses []string) (*membershipv1.AddNode, error) {
	listed := &membershipv1.AddNode{Node: &membershipv1.Node{
		Name: c.Name, Org: c.Org, NodeKey: node.Public().Bytes(), Addresses: addresses,
	}}
	var err error
	if listed.NodeKeyProof, err = tx.ProvePossession(node, tx.UseNode, c.Name, c.Org); err != nil {
		return nil, fmt.Errorf("prove the node key of %s: %w", c.Name, err)
	}
	if validator.IsZero() {
		return listed, nil
	}
	listed.Node.ValidatorKey, listed.Node.Power = validator.Public().Bytes(), power
	if listed.ValidatorKeyProof, err = tx.ProvePossession(validator, tx.UseValidator, c.Name, c.Org); err != nil {
		return nil, fmt.Errorf("prove the validator key of %s: %w", c.Name, err)
	}
	return listed, nil
}

// Encode returns the content of the member file. The error is [ErrMember] for what DecodeMember would refuse.
func (m *Member) Encode() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMember, err)
	}
	file := memberFile{Format: memberFormat, Org: m.Org, Accounts: []json.RawMessage{}, Nodes: []json.RawMessage{}}
	for _, account := range m.Accounts {
		raw, err := protojson.Marshal(account)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMember, err)
		}
		file.Accounts = append(file.Accounts, raw)
	}
	for _, node := range m.Nodes {
		raw, err := protojson.Marshal(node)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMember, err)
		}
		file.Nodes = append(file.Nodes, raw)
	}
	return encodeFile(file)
}

// DecodeMember reads the content of a member file. It checks every proof; the error is [ErrMember] and says what to set
// right.
func DecodeMember(data []byte) (*Member, error) {
	var file memberFile
	if err := decodeFile(data, maxMemberBytes, &file); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMember, err)
	}
	if file.Format != memberFormat {
		return nil, fmt.Errorf("%w: format is %d, this program reads %d", ErrMember, file.Format, memberFormat)
	}
	m := &Member{Org: file.Org}
	for i, raw := range file.Accounts {
		account := new(accountsv1.Create)
		if err := decodeMessage(raw, account); err != nil {
			return nil, fmt.Errorf("%w: accounts[%d]: %w", ErrMember, i, err)
		}
		m.Accounts = append(m.Accounts, account)
	}
	for i, raw := range file.Nodes {
		node := new(membershipv1.AddNode)
		if err := decodeMessage(raw, node); err != nil {
			return nil, fmt.Errorf("%w: nodes[%d]: %w", ErrMember, i, err)
		}
		m.Nodes = append(m.Nodes, node)
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMember, err)
	}
	return m, nil
}

// ReadMember reads a member file. The error is [ErrMember], or one of the file system.
func ReadMember(path string) (*Member, error) {
	data, err := readBounded(path, maxMemberBytes)
	if err != nil {
		return nil, err
	}
	m, err := DecodeMember(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// validate checks what can be checked without a ledger.
func (m *Member) validate() error {
	if err := names.Org(m.Org); err != nil {
		return err
	}
	if len(m.Accounts) > maxMemberAccounts || len(m.Nodes) > maxMemberNodes {
		return fmt.Errorf("%d accounts and %d nodes, at most %d and %d are allowed",
			len(m.Accounts), len(m.Nodes), maxMemberAccounts, maxMemberNodes)
	}
	if len(m.Accounts)+len(m.Nodes) == 0 {
		return errors.New("it has neither an account nor a node")
	}
	seen := map[string]bool{}
	for i, account := range m.Accounts {
		org, err := names.Account(account.GetName())
		switch {
		case err != nil:
			return fmt.Errorf("accounts[%d]: %w", i, err)
		case org != m.Org:
			return fmt.Errorf("accounts[%d]: %s is not an account of %s", i, account.Name, m.Org)
		case len(account.Keys) == 0:
			return fmt.Errorf("accounts[%d]: %s has no key", i, account.Name)
		case seen[account.Name]:
			return fmt.Errorf("accounts[%d]: %s stands twice", i, account.Name)
		}
		seen[account.Name] = true
	}
	for i, node := range m.Nodes {
		if err := checkListing(node, m.Org); err != nil {
			return fmt.Errorf("nodes[%d]: %w", i, err)
		}
		if seen[node.Node.Name] {
			return fmt.Errorf("nodes[%d]: %s stands twice", i, node.Node.Name)
		}
		seen[node.Node.Name] = true
	}
	return nil
}

// checkListing checks the names, the addresses and the proofs of a node.
func checkListing(node *membershipv1.AddNode, org string) error {
	n := node.GetNode()
	if err := names.Node(n.GetName()); err != nil {
		return err
	}
	if n.Org != org {
		return fmt.Errorf("%s is a node of %q, not of %s", n.Name, n.Org, org)
	}
	if err := checkAddresses(n.Addresses); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	if err := tx.CheckPossession(n.NodeKey, node.NodeKeyProof, tx.UseNode, n.Name, n.Org); err != nil {
		return err
	}
	if len(n.ValidatorKey) == 0 {
		if n.Power > 0 || len(node.ValidatorKeyProof) > 0 {
			return fmt.Errorf("%s has power or a proof, but no validator key", n.Name)
		}
		return nil
	}
	if bytes.Equal(n.ValidatorKey, n.NodeKey) {
		return fmt.Errorf("%s has one key for its connections and its votes: it needs two", n.Name)
	}
	return tx.CheckPossession(n.ValidatorKey, node.ValidatorKeyProof, tx.UseValidator, n.Name, n.Org)
}

// Prepare makes the home of a node that does not know its network yet, with its member file, and [Complete] makes it
// whole. Options have no genesis here. extra, which may be nil, writes further files below the temporary name of the home.
// The errors are those of [Init].
func Prepare(dir string, o Options, m *Member, extra func(Dir) error) error {
	// The checks are those of a whole home; the document is taken out again below.
	o.Genesis = []byte("{}")
	if err := o.validate(); err != nil {
		return fmt.Errorf("prepare home %s: %w", dir, err)
	}
	file, err := m.Encode()
	if err != nil {
		return fmt.Errorf("prepare home %s: %w", dir, err)
	}
	err = BuildDir(dir, func(temporary string) error {
		d := Dir(temporary)
		if err := fill(d, o); err != nil {
			return err
		}
		if err := os.Remove(d.Genesis()); err != nil {
			return err
		}
		if err := WriteFile(d.MemberFile(o.Config.Org, o.Config.Name), file, 0o644); err != nil {
			return err
		}
		if extra == nil {
			return nil
		}
		return extra(d)
	})
	if err != nil {
		return fmt.Errorf("prepare home: %w", err)
	}
	return nil
}

// Incomplete says whether there is a home at dir that [Prepare] made and [Complete] has not made whole yet.
func Incomplete(dir string) bool {
	_, configErr := os.Lstat(Dir(dir).Config())
	_, genesisErr := os.Lstat(Dir(dir).Genesis())
	return configErr == nil && errors.Is(genesisErr, fs.ErrNotExist)
}

// Complete makes a home that [Prepare] made whole: it gets the genesis document and the nodes of a ticket. A home of the same
// network gets the nodes only, if the ticket is newer than what it has; nobody else may use it meanwhile, otherwise the error is
// [ErrInUse]. The error is [ErrExists] for a home of another network, whose genesis is never replaced, and [ErrNotHome]
// where there is no home.
func Complete(dir string, t *Ticket) error {
	if err := complete(Dir(dir), t); err != nil {
		return fmt.Errorf("complete home %s: %w", dir, err)
	}
	return nil
}

func complete(d Dir, t *Ticket) error {
	if _, err := os.Lstat(d.Config()); err != nil {
		return missingPart(err)
	}
	members, err := t.members().encode()
	if err != nil {
		return err
	}
	genesis, err := readBounded(d.Genesis(), maxGenesisBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// The genesis comes last: a home that has one has everything.
		if err := d.replace(d.Members(), members); err != nil {
			return err
		}
		return d.replace(d.Genesis(), t.Genesis)
	case err != nil:
		return err
	case !bytes.Equal(genesis, t.Genesis):
		return fmt.Errorf("%w: it belongs to another network already", ErrExists)
	}
	return d.renew(t.Anchor.Height, members)
}

// renew replaces the list of nodes by that of a newer ticket.
func (d Dir) renew(asOf uint64, members []byte) (err error) {
	// A ticket that is not newer changes nothing, so the node may run.
	if known, err := ReadMembers(d); err != nil || known.AsOf >= asOf {
		return err
	}
	lock, err := LockFile(d.PID())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if known, err := ReadMembers(d); err != nil || known.AsOf >= asOf {
		return err
	}
	return d.replace(d.Members(), members)
}

// replace puts a file in the place of an earlier one, in one step.
func (d Dir) replace(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncDir(string(d))
}

// ReadConfig reads the configuration of a home, whether it is whole or not. The errors are those of [Load].
func ReadConfig(dir string) (Config, error) {
	file, err := readBounded(Dir(dir).Config(), maxConfigBytes)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration of %s: %w", dir, missingPart(err))
	}
	c, err := ParseConfig(file)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration of %s: %w", dir, err)
	}
	return c, nil
}

// decodeMessage decodes the JSON form of a message. Unknown fields are refused.
func decodeMessage(raw []byte, m proto.Message) error {
	if err := protojson.Unmarshal(raw, m); err != nil {
		// The decoder's texts begin with a word that it changes from build to build.
		_, text, found := strings.Cut(err.Error(), ": ")
		if !found {
			text = err.Error()
		}
		return errors.New(text)
	}
	return nil
}

// encodeFile returns the content of a JSON file that people may look at.
func encodeFile(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	// protojson varies its white space from build to build.
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// decodeFile decodes one JSON value without unknown fields and with nothing behind it.
func decodeFile(data []byte, limit int, v any) error {
	if len(data) > limit {
		return fmt.Errorf("it has more than %d bytes", limit)
	}
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

// readBounded reads a file, and one byte more than the limit of one that is too large.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit+1))
}
