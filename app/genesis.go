package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// FeatureLevel is the newest set of rules that this program knows.
const FeatureLevel = 1

const (
	genesisFormat = 1
	// maxGenesis bounds a genesis document in bytes.
	maxGenesis = 16 << 20
	// chainHashDigits is how many hex digits of the genesis hash stand in a chain id.
	chainHashDigits = 8
)

// ErrGenesis is returned when a genesis document cannot begin a network. The text says what to change.
var ErrGenesis = errors.New("invalid genesis document")

// Genesis is the document a network starts from, with what follows from its bytes.
type Genesis struct {
	Doc *genesisv1.Genesis
	// File is the file itself, byte by byte. It must not be modified.
	File []byte
	// Hash is the SHA-256 of the file, and the app hash before the first block.
	Hash [32]byte
	// ChainID is the network's name and the first eight hex digits of Hash.
	ChainID string
}

// ParseGenesis reads a genesis file: proto3 JSON of an althing.genesis.v1.Genesis. Unknown fields and whatever would not
// be valid state are refused with an error that is [ErrGenesis].
func ParseGenesis(file []byte) (Genesis, error) {
	if len(file) > maxGenesis {
		return Genesis{}, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrGenesis, len(file), maxGenesis)
	}
	doc := new(genesisv1.Genesis)
	if err := protojson.Unmarshal(file, doc); err != nil {
		return Genesis{}, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	g := Genesis{Doc: doc, File: bytes.Clone(file), Hash: sha256.Sum256(file)}
	g.ChainID = doc.Name + "-" + hex.EncodeToString(g.Hash[:])[:chainHashDigits]
	if err := g.validate(); err != nil {
		return Genesis{}, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	return g, nil
}

// EncodeGenesis returns the file of a genesis document. The error is [ErrGenesis] when the document is not valid.
func EncodeGenesis(doc *genesisv1.Genesis) ([]byte, error) {
	raw, err := protojson.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	// protojson varies its white space from build to build; the file's bytes are hashed.
	var file bytes.Buffer
	if err := json.Indent(&file, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	file.WriteByte('\n')
	if _, err := ParseGenesis(file.Bytes()); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

// Time is the time of the first block.
func (g Genesis) Time() time.Time { return g.Doc.Time.AsTime() }

// Charter is the charter the network started with, with the defaults of what the document leaves out.
func (g Genesis) Charter() *governancev1.Charter { return governance.WithDefaults(g.Doc.Charter) }

func (g Genesis) validate() error {
	doc := g.Doc
	if doc.Format != genesisFormat {
		return fmt.Errorf("format is %d, this program reads %d", doc.Format, genesisFormat)
	}
	if err := names.Network(doc.Name); err != nil {
		return err
	}
	if err := doc.Time.CheckValid(); err != nil || doc.Time.AsTime().Year() < 2020 || doc.Time.AsTime().Year() > 2200 {
		return errors.New("time is missing or not between 2020 and 2200")
	}
	if doc.FeatureLevel == 0 || doc.FeatureLevel > FeatureLevel {
		return fmt.Errorf("feature_level is %d, this program knows 1 to %d: use a newer one", doc.FeatureLevel, FeatureLevel)
	}
	return g.write(state.NewOverlay(nothing{}))
}

// originKey holds the genesis hash, so that the state itself says which network it is of.
func originKey() []byte { return keyspace.Key(keyspace.PrefixChain, "genesis") }

// write puts the state of the document into an empty store.
func (g Genesis) write(kv exec.KV) error {
	kv.Set(originKey(), g.Hash[:])
	return errors.Join(
		governance.Genesis(kv, g.Doc.Charter, g.Doc.FeatureLevel),
		accounts.Genesis(kv, g.Doc.Orgs, g.allotments(), g.Doc.Accounts),
		membership.Genesis(kv, g.Doc.Orgs, g.Doc.Nodes),
	)
}

// allotments are what the charter gives every org, or what the document lists for it, if that is more.
func (g Genesis) allotments() map[string]*accountsv1.Allotment {
	charter := g.Charter()
	listed := make(map[string]*accountsv1.Allotment, len(g.Doc.Orgs))
	for _, n := range g.Doc.Nodes {
		if listed[n.GetNode().GetOrg()] == nil {
			listed[n.GetNode().GetOrg()] = &accountsv1.Allotment{}
		}
		// Powers are at most a million each; what is not is refused beside this.
		listed[n.GetNode().GetOrg()].Power += min(n.GetNode().GetPower(), membership.MaxPower)
		listed[n.GetNode().GetOrg()].Nodes++
	}
	allotments := make(map[string]*accountsv1.Allotment, len(g.Doc.Orgs))
	for _, org := range g.Doc.Orgs {
		allotments[org] = &accountsv1.Allotment{
			Power: max(charter.OrgPower, listed[org].GetPower()),
			Nodes: max(charter.OrgNodes, listed[org].GetNodes()),
		}
	}
	return allotments
}

// registry is who may connect and vote before the first block.
func (g Genesis) registry() (*membership.Registry, error) {
	kv := &leaves{values: make(map[string][]byte)}
	if err := g.write(kv); err != nil {
		return nil, err
	}
	return membership.Load(kv, 0, g.Time().UnixNano())
}

// leaves is a small state in memory that can be scanned, which a write buffer cannot.
type leaves struct {
	keys   []string // ascending
	values map[string][]byte
}

func (l *leaves) Get(key []byte) ([]byte, error) { return l.values[string(key)], nil }

func (l *leaves) Set(key, value []byte) {
	if i, found := slices.BinarySearch(l.keys, string(key)); !found {
		l.keys = slices.Insert(l.keys, i, string(key))
	}
	l.values[string(key)] = bytes.Clone(value)
}

func (l *leaves) Delete(key []byte) {
	if i, found := slices.BinarySearch(l.keys, string(key)); found {
		l.keys = slices.Delete(l.keys, i, i+1)
	}
	delete(l.values, string(key))
}

func (l *leaves) Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error {
	from, _ := slices.BinarySearch(l.keys, string(start))
	for _, key := range l.keys[from:] {
		if end != nil && key >= string(end) {
			return nil
		}
		if more, err := fn([]byte(key), l.values[key]); err != nil || !more {
			return err
		}
	}
	return nil
}

// nothing is state without a key.
type nothing struct{}

func (nothing) Get([]byte) ([]byte, error) { return nil, nil }
