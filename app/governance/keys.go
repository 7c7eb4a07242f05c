package governance

import "github.com/althing-ledger/althing/state"

func charterKey() []byte { return state.Key(state.PrefixCharter, "charter") }

func featureLevelKey() []byte { return state.Key(state.PrefixChain, "feature-level") }
