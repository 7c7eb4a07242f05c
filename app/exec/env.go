package exec

import (
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Env is the surroundings of one operation. Everything in it is the same on every node.
type Env struct {
	FeatureLevel uint64 // the rules in force
	Height       uint64 // of the block
	Time         int64  // of the block, nanoseconds since 1970, UTC
	TxID         tx.ID
	Operation    uint32 // index in the transaction
	Account      string // who acts: its authority has been checked. Empty where the members act
	Org          string // the organisation of Account
	// Proposal is the number of the proposal whose operations are being applied: the members act, by their vote. 0 where
	// Account acts.
	Proposal uint64
	// Emit adds an event to the transaction. Events of a rejected transaction are dropped.
	Emit func(*ledgerv1.Event)
}
