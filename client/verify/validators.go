package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"
	"google.golang.org/protobuf/encoding/protojson"

	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/names"
)

const (
	// maxValidators is how many validators a set may have; the rules of the ledger allow fewer.
	maxValidators = 256
	// maxGenesis bounds a genesis file in bytes, as nodes do.
	maxGenesis = 16 << 20
	// genesisFormat is the format of genesis documents that is read.
	genesisFormat = 1
	// chainHashDigits is how many hex digits of the genesis hash stand in a chain id.
	chainHashDigits = 8
)

// validators are the validators from one change to the next. They are not modified after they are made.
type validators struct {
	// from is the first height that they decide: the one after the header that announces them, 1 for those of the genesis.
	from uint64
	set  *types.ValidatorSet
	hash []byte
	// announced is the header that announces them, nil for the genesis document.
	announced *Header
}

// known is the height of the change, as [Trust.Known] counts: 1 for the genesis document, which no other change can have.
func (v *validators) known() uint64 { return max(v.from-1, 1) }

// newValidators makes a set. Their order must be that of CometBFT: power descending, then address ascending.
func newValidators(listed []*types.Validator, from uint64) (*validators, error) {
	if len(listed) == 0 || len(listed) > maxValidators {
		return nil, errorf(ErrValidators, "a set of %d validators: it has 1 to %d", len(listed), maxValidators)
	}
	total := int64(0)
	seen := make(map[string]bool, len(listed))
	for _, v := range listed {
		if seen[string(v.Address)] {
			return nil, errorf(ErrValidators, "%X stands twice in a set", []byte(v.PubKey.Bytes()))
		}
		seen[string(v.Address)] = true
		if v.VotingPower < 1 || v.VotingPower > types.MaxTotalVotingPower-total {
			return nil, errorf(ErrValidators, "%X has the power %d: it is at least 1, and that of all at most %d", v.PubKey.Bytes(), v.VotingPower, types.MaxTotalVotingPower)
		}
		total += v.VotingPower
	}
	set := types.NewValidatorSet(listed)
	for i, v := range listed {
		if !bytes.Equal(v.Address, set.Validators[i].Address) {
			return nil, errorf(ErrNotCanonical, "a set is not in descending order of power, then ascending order of address")
		}
	}
	return &validators{from: from, set: set, hash: set.Hash()}, nil
}

func newValidator(key []byte, power uint64) (*types.Validator, error) {
	if len(key) != ed25519.PubKeySize {
		return nil, errorf(ErrValidators, "the key of a validator has %d bytes, an Ed25519 key has %d", len(key), ed25519.PubKeySize)
	}
	if power > uint64(types.MaxTotalVotingPower) {
		return nil, errorf(ErrValidators, "a validator has the power %d, at most %d is possible", power, types.MaxTotalVotingPower)
	}
	return types.NewValidator(ed25519.PubKey(bytes.Clone(key)), int64(power)), nil
}

// announcedBy reads the validators of a link.
func announcedBy(listed []*proofv1.Validator, h *Header) (*validators, error) {
	if len(listed) > maxValidators {
		return nil, errorf(ErrTooLarge, "header %d announces %d validators, at most %d are possible", h.Height, len(listed), maxValidators)
	}
	set := make([]*types.Validator, 0, len(listed))
	for _, one := range listed {
		if one == nil {
			return nil, errorf(ErrMalformed, "a validator is missing from the set that header %d announces", h.Height)
		}
		v, err := newValidator(one.PublicKey, one.Power)
		if err != nil {
			return nil, err
		}
		set = append(set, v)
	}
	next, err := newValidators(set, h.Height+1)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(next.hash, h.NextValidatorsHash) {
		return nil, errorf(ErrValidators, "the set has the hash %X, header %d announces %X", next.hash, h.Height, h.NextValidatorsHash)
	}
	if bytes.Equal(next.hash, h.ValidatorsHash) {
		return nil, errorf(ErrSurplus, "header %d announces no other validators than its own", h.Height)
	}
	next.announced = h
	return next, nil
}

// owner is whose key it is.
type owner struct{ name, org string }

// readGenesis returns the validators of the first block, and whose keys the document lists. It checks that the document is the
// one with the hash, and what of it says who may sign: the hash binds the rest.
func readGenesis(file []byte, hash [sha256.Size]byte, chainID string) (*validators, map[string]owner, error) {
	if len(file) == 0 {
		return nil, nil, errorf(ErrMalformed, "the genesis document is missing")
	}
	if len(file) > maxGenesis {
		return nil, nil, errorf(ErrTooLarge, "the genesis document has %d bytes, at most %d are possible", len(file), maxGenesis)
	}
	if got := sha256.Sum256(file); got != hash {
		return nil, nil, errorf(ErrWrongNetwork, "the genesis document has the hash %x, not %x", got, hash)
	}
	name, found := strings.CutSuffix(chainID, "-"+hex.EncodeToString(hash[:])[:chainHashDigits])
	if !found {
		return nil, nil, errorf(ErrWrongNetwork, "%.60q is no network whose genesis document has the hash %x", chainID, hash)
	}
	doc := new(genesisv1.Genesis)
	if err := protojson.Unmarshal(file, doc); err != nil {
		return nil, nil, errorf(ErrMalformed, "decode the genesis document: %v", err)
	}
	if doc.Format != genesisFormat {
		return nil, nil, errorf(ErrFormat, "the genesis document has format %d, this program reads %d", doc.Format, genesisFormat)
	}
	if err := names.Network(doc.Name); err != nil || doc.Name != name {
		return nil, nil, errorf(ErrWrongNetwork, "the genesis document is of %.60q, not of %.60q", doc.Name, name)
	}
	owners := make(map[string]owner)
	var set []*types.Validator
	for _, n := range doc.Nodes {
		node := n.GetNode()
		if node.GetPower() == 0 {
			continue
		}
		v, err := newValidator(node.ValidatorKey, node.Power)
		if err != nil {
			return nil, nil, err
		}
		set = append(set, v)
		owners[string(node.ValidatorKey)] = owner{node.Name, node.Org}
	}
	slices.SortFunc(set, func(a, b *types.Validator) int {
		if a.VotingPower != b.VotingPower {
			if a.VotingPower > b.VotingPower {
				return -1
			}
			return 1
		}
		return bytes.Compare(a.Address, b.Address)
	})
	first, err := newValidators(set, 1)
	return first, owners, err
}
