package governance

import (
	"math"

	"github.com/althing-ledger/althing/state/keyspace"
)

func charterKey() []byte { return keyspace.Key(keyspace.PrefixCharter, "charter") }

func featureLevelKey() []byte { return keyspace.Key(keyspace.PrefixChain, "feature-level") }

func upgradeKey() []byte { return keyspace.Key(keyspace.PrefixChain, "upgrade") }

// proposalKey makes the newest proposal the first of the range.
func proposalKey(id uint64) []byte { return keyspace.Uint64(proposalRange(), math.MaxUint64-id) }

// proposalRange is the prefix of all proposals.
func proposalRange() []byte { return keyspace.Key(keyspace.PrefixProposals) }

func proposalCountKey() []byte { return keyspace.Key(keyspace.PrefixProposalCount) }

func openProposalsKey(org string) []byte { return keyspace.Key(keyspace.PrefixOpenProposals, org) }
