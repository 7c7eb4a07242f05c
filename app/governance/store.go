package governance

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	"github.com/althing-ledger/althing/state"
)

// levelFormat opens the value of the feature level; eight bytes follow, big endian.
const levelFormat = 1

// ErrNoGenesis is returned where the state holds neither charter nor feature level: nothing wrote the genesis.
var ErrNoGenesis = errors.New("the state has no genesis")

// Reader reads the charter and the feature level. Its errors are I/O failures, corruption, or [ErrNoGenesis].
type Reader struct{ kv state.Reader }

// Read returns a reader over kv.
func Read(kv state.Reader) Reader { return Reader{kv} }

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

// FeatureLevel returns the rules in force.
func (r Reader) FeatureLevel() (uint64, error) {
	value, err := r.kv.Get(featureLevelKey())
	if err != nil {
		return 0, fmt.Errorf("read the feature level: %w", err)
	}
	if value == nil {
		return 0, fmt.Errorf("read the feature level: %w", ErrNoGenesis)
	}
	level, err := decodeLevel(value)
	if err != nil {
		return 0, fmt.Errorf("read the feature level: %w", err)
	}
	return level, nil
}

// Store reads and writes the charter and the feature level.
type Store struct {
	Reader
	out state.Writer
}

// Open returns a store over kv.
func Open(kv exec.KV) Store { return Store{Reader{kv}, kv} }

func (s Store) setCharter(c *governancev1.Charter) error { return exec.Put(s.out, charterKey(), c) }

func (s Store) setFeatureLevel(level uint64) {
	s.out.Set(featureLevelKey(), binary.BigEndian.AppendUint64([]byte{levelFormat}, level))
}

func decodeLevel(value []byte) (uint64, error) {
	if len(value) != 9 || value[0] != levelFormat {
		return 0, fmt.Errorf("a value of %d bytes is no feature level of a format this program knows", len(value))
	}
	level := binary.BigEndian.Uint64(value[1:])
	if level == 0 {
		return 0, errors.New("the feature level is 0")
	}
	return level, nil
}
