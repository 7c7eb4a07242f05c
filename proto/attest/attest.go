package attest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	cose "github.com/veraison/go-cose"

	"github.com/althing-ledger/althing/proto/names"
)

const (
	// ContentType is the content type of the payload.
	ContentType = "application/althing-receipt+cbor"
	// Says stands in every payload.
	Says = "One node of the network says so. It is no proof: a receipt holds what the validators have signed."
	// MaxSize is the most bytes that a message can have.
	MaxSize = 2048

	format      = 1
	hashSize    = 32
	maxChainID  = 64
	issuerStart = "althing:"
)

// ErrInvalid is returned for bytes that are no attestation by the given key. The text says why.
var ErrInvalid = errors.New("invalid attestation")

// Statement is what a node says of a transaction that stands in a block.
type Statement struct {
	Node        string // the name of the node that says it
	IssuedAt    time.Time
	ChainID     string
	GenesisHash [hashSize]byte
	ID          [hashSize]byte // of the transaction
	Height      uint64
	Index       uint32 // its place in the block
	Code        uint32 // 0 where it was applied, else why it was refused
	Time        time.Time
	BlockHash   [hashSize]byte // of the block's header
	AppHash     [hashSize]byte // the root of the state after the block
}

// payload is the CBOR map of a message.
type payload struct {
	Format  uint64 `cbor:"format"`
	Network string `cbor:"network"`
	Genesis []byte `cbor:"genesis"`
	Tx      []byte `cbor:"tx"`
	Height  uint64 `cbor:"height"`
	Index   uint32 `cbor:"index"`
	Code    uint32 `cbor:"code"`
	Time    int64  `cbor:"time"` // nanoseconds since 1970, UTC
	Block   []byte `cbor:"block"`
	State   []byte `cbor:"state"`
	Says    string `cbor:"says"`
}

// claims are those of the header's CWT claims (RFC 9597) that an attestation has.
type claims struct {
	Issuer   string `cbor:"1,keyasint"`
	Subject  string `cbor:"2,keyasint"`
	IssuedAt int64  `cbor:"6,keyasint"`
}

// modes are how everything is encoded and decoded.
type modes struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func newModes() (m modes, err error) {
	if m.enc, err = cbor.CoreDetEncOptions().EncMode(); err != nil {
		return m, err
	}
	m.dec, err = cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 4, MaxMapPairs: 16, MaxArrayElements: 16,
	}.DecMode()
	return m, err
}

// Sign returns the message that says s, signed by an Ed25519 key.
func Sign(s Statement, key crypto.Signer) ([]byte, error) {
	signer, err := cose.NewSigner(cose.AlgorithmEdDSA, key)
	if err != nil {
		return nil, fmt.Errorf("sign an attestation: %w", err)
	}
	m, err := s.message()
	if err != nil {
		return nil, fmt.Errorf("sign an attestation: %w", err)
	}
	if err := m.Sign(rand.Reader, nil, signer); err != nil {
		return nil, fmt.Errorf("sign an attestation: %w", err)
	}
	return m.MarshalCBOR()
}

// Check returns what a message says, if a node with the given Ed25519 key of 32 bytes has signed it. Whether that key is, or
// was, the node's is for the ledger to say. The error is [ErrInvalid].
func Check(message, nodeKey []byte) (Statement, error) {
	s, err := check(message, nodeKey)
	if err != nil {
		return Statement{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s, nil
}

func check(message, nodeKey []byte) (Statement, error) {
	if len(message) > MaxSize {
		return Statement{}, fmt.Errorf("it has %d bytes, at most %d are allowed", len(message), MaxSize)
	}
	if len(nodeKey) != ed25519.PublicKeySize {
		return Statement{}, fmt.Errorf("the node key has %d bytes, an Ed25519 key has %d", len(nodeKey), ed25519.PublicKeySize)
	}
	verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, ed25519.PublicKey(nodeKey))
	if err != nil {
		return Statement{}, err
	}
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(message); err != nil {
		return Statement{}, err
	}
	if err := m.Verify(nil, verifier); err != nil {
		return Statement{}, err
	}
	s, err := read(&m)
	if err != nil {
		return Statement{}, err
	}
	again, err := s.message()
	if err != nil {
		return Statement{}, err
	}
	again.Signature = m.Signature
	encoded, err := again.MarshalCBOR()
	if err != nil {
		return Statement{}, err
	}
	if !bytes.Equal(encoded, message) {
		return Statement{}, errors.New("it is not encoded as an attestation is")
	}
	return s, nil
}

// message is the unsigned message of a statement.
func (s Statement) message() (*cose.Sign1Message, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	m, err := newModes()
	if err != nil {
		return nil, err
	}
	encoded, err := m.enc.Marshal(payload{
		Format: format, Network: s.ChainID, Genesis: s.GenesisHash[:], Tx: s.ID[:], Height: s.Height, Index: s.Index, Code: s.Code,
		Time: s.Time.UnixNano(), Block: s.BlockHash[:], State: s.AppHash[:], Says: Says,
	})
	if err != nil {
		return nil, err
	}
	message := cose.NewSign1Message()
	message.Payload = encoded
	header := message.Headers.Protected
	header.SetAlgorithm(cose.AlgorithmEdDSA)
	header[cose.HeaderLabelContentType] = ContentType
	header[cose.HeaderLabelKeyID] = []byte(s.Node)
	header[cose.HeaderLabelCWTClaims] = claims{
		Issuer: s.issuer(), Subject: hex.EncodeToString(s.ID[:]), IssuedAt: s.IssuedAt.Unix(),
	}
	return message, nil
}

// issuer names the node for whoever has many networks.
func (s Statement) issuer() string { return issuerStart + s.ChainID + "/" + s.Node }

func (s Statement) validate() error {
	switch {
	case names.Node(s.Node) != nil:
		return fmt.Errorf("node: %w", names.Node(s.Node))
	case s.ChainID == "" || len(s.ChainID) > maxChainID:
		return fmt.Errorf("the chain id has %d bytes", len(s.ChainID))
	case s.Height == 0:
		return errors.New("the height is 0")
	case s.IssuedAt.Unix() < 0 || s.Time.UnixNano() < 0:
		return errors.New("a time before 1970")
	}
	return nil
}

// read takes the statement out of a message. What it does not look at, the comparison of the encodings does.
func read(message *cose.Sign1Message) (Statement, error) {
	m, err := newModes()
	if err != nil {
		return Statement{}, err
	}
	var p payload
	if err := m.dec.Unmarshal(message.Payload, &p); err != nil {
		return Statement{}, fmt.Errorf("payload: %w", err)
	}
	if p.Format != format {
		return Statement{}, fmt.Errorf("it has format %d, this program reads %d: use a newer one", p.Format, format)
	}
	node, ok := message.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
	if !ok {
		return Statement{}, errors.New("it names no node")
	}
	about, ok := message.Headers.Protected[cose.HeaderLabelCWTClaims].(map[any]any)
	if !ok {
		return Statement{}, errors.New("it has no claims")
	}
	issued, ok := about[cose.CWTClaimIssuedAt].(int64)
	if !ok {
		return Statement{}, errors.New("it does not say when it was issued")
	}
	s := Statement{
		Node: string(node), IssuedAt: time.Unix(issued, 0).UTC(), ChainID: p.Network, Height: p.Height, Index: p.Index, Code: p.Code,
		Time: time.Unix(0, p.Time).UTC(),
	}
	for _, field := range []struct {
		to   *[hashSize]byte
		from []byte
		name string
	}{{&s.GenesisHash, p.Genesis, "genesis"}, {&s.ID, p.Tx, "tx"}, {&s.BlockHash, p.Block, "block"}, {&s.AppHash, p.State, "state"}} {
		if len(field.from) != hashSize {
			return Statement{}, fmt.Errorf("%s has %d bytes, a hash has %d", field.name, len(field.from), hashSize)
		}
		copy(field.to[:], field.from)
	}
	return s, nil
}
