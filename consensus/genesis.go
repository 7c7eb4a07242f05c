package consensus

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/types"
)

// Validator is a node that votes in consensus.
type Validator struct {
	// Name is for people.
	Name string
	// PublicKey is the Ed25519 key that verifies its votes, 32 bytes.
	PublicKey []byte
	// Power is its weight. Give equal validators 10 or more, not 1: the engine divides
	// the total by three in integers when it decides whether the network can do without a
	// node, and rounds.
	Power int64
}

// Genesis is what all nodes of a network must agree on before the first block.
type Genesis struct {
	// ChainID names the network, at most 50 bytes.
	ChainID string
	// Time is the time of the first block. Not later than the nodes' clocks.
	Time time.Time
	// Validators vote from the first block on.
	Validators []Validator
	// AppState is handed to the application's InitChain as it is.
	AppState []byte
	// FeatureLevel is the version of the application's rules (the engine's app version).
	FeatureLevel uint64
	// MaxBlockBytes bounds a block. Default 4 MiB.
	MaxBlockBytes int64
	// EvidenceMaxAgeBlocks and EvidenceMaxAge say how long misbehaviour may be punished: until
	// both have passed. Headers and commits inside this window are not pruned. Defaults
	// 100,000 blocks and 7 days.
	EvidenceMaxAgeBlocks int64
	EvidenceMaxAge       time.Duration
}

// Limits of a genesis.
const (
	maxValidators     = 256
	minBlockBytes     = 64 << 10
	maxBlockBytes     = 64 << 20
	maxEvidenceBytes  = 64 << 10
	defaultBlockBytes = 4 << 20
)

func (g Genesis) withDefaults() Genesis {
	if g.MaxBlockBytes == 0 {
		g.MaxBlockBytes = defaultBlockBytes
	}
	if g.EvidenceMaxAgeBlocks == 0 {
		g.EvidenceMaxAgeBlocks = 100_000
	}
	if g.EvidenceMaxAge == 0 {
		g.EvidenceMaxAge = 7 * 24 * time.Hour
	}
	return g
}

func (g Genesis) validate() error {
	g = g.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("genesis: "+format, args...)) }
	if g.ChainID == "" || len(g.ChainID) > types.MaxChainIDLen {
		bad("chain id %q has %d bytes, want 1 to %d", g.ChainID, len(g.ChainID), types.MaxChainIDLen)
	}
	if g.Time.IsZero() {
		bad("time is missing")
	}
	if len(g.Validators) == 0 || len(g.Validators) > maxValidators {
		bad("%d validators, want 1 to %d", len(g.Validators), maxValidators)
	}
	seen := make(map[string]bool)
	total := int64(0)
	for _, v := range g.Validators {
		if len(v.PublicKey) != ed25519.PublicKeySize {
			bad("validator %q: public key has %d bytes, want %d", v.Name, len(v.PublicKey), ed25519.PublicKeySize)
		}
		if v.Power < 1 || v.Power > types.MaxTotalVotingPower-total {
			bad("validator %q: power %d is below 1 or overflows the total", v.Name, v.Power)
		} else {
			total += v.Power
		}
		if seen[string(v.PublicKey)] {
			bad("validator %q: its key is listed twice", v.Name)
		}
		seen[string(v.PublicKey)] = true
	}
	if g.MaxBlockBytes < minBlockBytes || g.MaxBlockBytes > maxBlockBytes {
		bad("MaxBlockBytes is %d, want %d to %d", g.MaxBlockBytes, minBlockBytes, maxBlockBytes)
	}
	if g.EvidenceMaxAgeBlocks < 1 || g.EvidenceMaxAge < time.Second {
		bad("evidence must live at least 1 block and 1s, not %d and %v", g.EvidenceMaxAgeBlocks, g.EvidenceMaxAge)
	}
	return errors.Join(errs...)
}

// document translates to the engine's form. AppState is carried as its hash only: the
// engine wants JSON there, and the application gets the bytes from us.
func (g Genesis) document() (*types.GenesisDoc, error) {
	g = g.withDefaults()
	params := types.DefaultConsensusParams()
	params.Block.MaxBytes = g.MaxBlockBytes
	params.Evidence.MaxAgeNumBlocks = g.EvidenceMaxAgeBlocks
	params.Evidence.MaxAgeDuration = g.EvidenceMaxAge
	params.Evidence.MaxBytes = maxEvidenceBytes
	params.Version.App = g.FeatureLevel
	sum := sha256.Sum256(g.AppState)
	state, err := json.Marshal(map[string][]byte{"sha256": sum[:]})
	if err != nil {
		return nil, err
	}
	doc := &types.GenesisDoc{
		GenesisTime:     g.Time.UTC(),
		ChainID:         g.ChainID,
		InitialHeight:   1,
		ConsensusParams: params,
		AppState:        state,
	}
	for _, v := range g.Validators {
		doc.Validators = append(doc.Validators, types.GenesisValidator{
			Name: v.Name, PubKey: cmted25519.PubKey(v.PublicKey), Power: v.Power,
		})
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, err
	}
	return doc, nil
}

// genesisKey is where the engine's own programs look for the genesis document too.
var genesisKey = []byte("genesisDoc")

// bindGenesis stores the genesis in an empty state database, or refuses a database that
// began differently with an error that is [ErrForeignData].
func bindGenesis(db dbm.DB, doc *types.GenesisDoc) error {
	want, err := cmtjson.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encode genesis: %w", err)
	}
	have, err := db.Get(genesisKey)
	if err != nil {
		return fmt.Errorf("read stored genesis: %w", err)
	}
	if len(have) == 0 {
		return db.SetSync(genesisKey, want)
	}
	if bytes.Equal(have, want) {
		return nil
	}
	var stored types.GenesisDoc
	if err := cmtjson.Unmarshal(have, &stored); err != nil {
		return fmt.Errorf("%w: its genesis is unreadable: %w", ErrForeignData, err)
	}
	return fmt.Errorf("%w: it began as chain %q with genesis %x, this is chain %q with genesis %x",
		ErrForeignData, stored.ChainID, sha256.Sum256(have), doc.ChainID, sha256.Sum256(want))
}
