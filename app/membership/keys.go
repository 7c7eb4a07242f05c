package membership

import "github.com/althing-ledger/althing/state"

func nodeKey(name string) []byte { return state.Key(state.PrefixNodes, name) }

// nodeRange is the prefix of all nodes.
func nodeRange() []byte { return state.Key(state.PrefixNodes) }
