package governance

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
)

// numberFormat opens the values that are one number; eight bytes follow, big endian.
const numberFormat = 1

// ErrNoGenesis is returned where the state holds neither charter nor feature level: nothing wrote the genesis.
var ErrNoGenesis = errors.New("the state has no genesis")

// Reader reads the charter, the feature level and proposals. Its errors are I/O failures, corruption, or [ErrNoGenesis].
type Reader struct{ kv exec.Reader }

// Read returns a reader over kv.
func Read(kv exec.Reader) Reader { return Reader{kv} }

// Charter returns the limits in force.
func (r Reader) Charter() (*governancev1.Charter, error) {
	charter := new(governancev1.Charter)
	found, err := exec.Get(r.kv, charterKey(), charter)
	if err != nil {
		return nil, fmt.Errorf("read the charter: %w", err)
	}
	if !found {
		return nil, fmt.Errorf("read the charter: %w", ErrNoGenesis)
	}
	return charter, nil
}

// FeatureLevel returns the level of the leaf: what the genesis or the last change of plans wrote. What is in force may be
// higher, see [Reader.LevelAt].
func (r Reader) FeatureLevel() (uint64, error) {
	level, err := r.number(featureLevelKey())
	if err == nil && level == 0 {
		err = ErrNoGenesis
	}
	if err != nil {
		return 0, fmt.Errorf("read the feature level: %w", err)
	}
	return level, nil
}

// Upgrade returns the change of rules that was planned last, which may be in force by now; nil if there is none.
func (r Reader) Upgrade() (*governancev1.Upgrade, error) {
	upgrade := new(governancev1.Upgrade)
	if found, err := exec.Get(r.kv, upgradeKey(), upgrade); err != nil || !found {
		return nil, err
	}
	return upgrade, nil
}

// LevelAt returns the rules in force for the block of a height, as far as this state knows.
func (r Reader) LevelAt(height uint64) (uint64, error) {
	level, err := r.FeatureLevel()
	if err != nil {
		return 0, err
	}
	upgrade, err := r.Upgrade()
	if err != nil {
		return 0, err
	}
	if upgrade != nil && upgrade.Height <= height {
		level = max(level, upgrade.FeatureLevel)
	}
	return level, nil
}

// Proposal returns a proposal as it was last written, nil if there is none of that number.
func (r Reader) Proposal(id uint64) (*proposalsv1.Proposal, error) {
	p := new(proposalsv1.Proposal)
	if found, err := exec.Get(r.kv, proposalKey(id), p); err != nil || !found {
		return nil, err
	}
	return p, nil
}

// openProposals returns the proposals of an org that were open when the org last proposed something.
func (r Reader) openProposals(org string) ([]uint64, error) {
	open := new(governancev1.OpenProposals)
	if found, err := exec.Get(r.kv, openProposalsKey(org), open); err != nil || !found {
		return nil, err
	}
	return open.Ids, nil
}

// number returns the number under a key, 0 if there is none.
func (r Reader) number(key []byte) (uint64, error) {
	value, err := r.kv.Get(key)
	if err != nil || value == nil {
		return 0, err
	}
	if len(value) != 9 || value[0] != numberFormat {
		return 0, fmt.Errorf("key %x: a value of %d bytes is no number of a format this program knows", key, len(value))
	}
	n := binary.BigEndian.Uint64(value[1:])
	if n == 0 {
		return 0, fmt.Errorf("key %x: the number is 0, which is never written", key)
	}
	return n, nil
}

// Store reads and writes the charter, the feature level and proposals. It is the only code that writes them.
type Store struct {
	Reader
	out exec.Writer
}

// Open returns a store over kv.
func Open(kv exec.KV) Store { return Store{Reader{kv}, kv} }

func (s Store) setCharter(c *governancev1.Charter) error { return exec.Put(s.out, charterKey(), c) }

func (s Store) setFeatureLevel(level uint64) { s.setNumber(featureLevelKey(), level) }

// setUpgrade writes what is planned; a height of 0 strikes it.
func (s Store) setUpgrade(u *governancev1.Upgrade) error {
	if u.Height == 0 {
		s.out.Delete(upgradeKey())
		return nil
	}
	return exec.Put(s.out, upgradeKey(), u)
}

func (s Store) setProposal(p *proposalsv1.Proposal) error {
	return exec.Put(s.out, proposalKey(p.Id), p)
}

func (s Store) setOpenProposals(org string, ids []uint64) error {
	return exec.Put(s.out, openProposalsKey(org), &governancev1.OpenProposals{Ids: ids})
}

// nextProposal counts a new proposal and returns its number.
func (s Store) nextProposal() (uint64, error) {
	newest, err := s.number(proposalCountKey())
	if err != nil {
		return 0, fmt.Errorf("read the number of proposals: %w", err)
	}
	s.setNumber(proposalCountKey(), newest+1)
	return newest + 1, nil
}

func (s Store) setNumber(key []byte, n uint64) {
	s.out.Set(key, binary.BigEndian.AppendUint64([]byte{numberFormat}, n))
}
