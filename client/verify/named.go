package verify

import (
	"bytes"
	"math"
	"slices"
	"strings"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/state/keyspace"
)

// namedKeys are keys of the state that events name. The layouts are those of the modules of the state machine; they are part of
// the format, and a test holds one against the other.
type namedKeys struct {
	keys [][]byte
	err  error
}

// named returns the keys that the events of a transaction name, in ascending order, none twice.
func named(events *ledgerv1.EventList) ([][]byte, error) {
	n := new(namedKeys)
	for _, e := range events.GetEvents() {
		n.event(e)
		if n.err != nil {
			return nil, n.err
		}
	}
	slices.SortFunc(n.keys, bytes.Compare)
	return slices.CompactFunc(n.keys, bytes.Equal), nil
}

// key adds a prefix followed by names with zero bytes between them.
func (n *namedKeys) key(prefix byte, parts ...string) {
	for _, part := range parts {
		if strings.IndexByte(part, 0) >= 0 {
			n.err = errorf(ErrOutcome, "an event has the name %.70q", part)
			return
		}
	}
	n.keys = append(n.keys, keyspace.Key(prefix, parts...))
}

// number adds a key that ends in a number.
func (n *namedKeys) number(prefix byte, number uint64, parts ...string) {
	n.key(prefix, parts...)
	if n.err == nil {
		last := &n.keys[len(n.keys)-1]
		*last = keyspace.Uint64(*last, number)
	}
}

// split cuts a name at its first slashes into as many parts as there are.
func split(name string, parts int) []string {
	cut := strings.SplitN(name, "/", parts)
	return append(cut, make([]string, parts-len(cut))...)
}

func (n *namedKeys) holdings(asset string, supply bool, accounts ...string) {
	n.key(keyspace.PrefixAssets, split(asset, 2)...)
	if supply {
		n.key(keyspace.PrefixSupply, split(asset, 2)...)
	}
	for _, account := range accounts {
		n.key(keyspace.PrefixBalances, append(split(asset, 2), split(account, 2)...)...)
	}
}

func (n *namedKeys) hold(id []byte) {
	n.keys = append(n.keys, append(keyspace.Key(keyspace.PrefixHolds), id...))
}

func (n *namedKeys) event(e *ledgerv1.Event) {
	switch k := e.GetKind().(type) {
	case *ledgerv1.Event_AccountCreated:
		n.key(keyspace.PrefixAccounts, split(k.AccountCreated.GetAccount().GetName(), 2)...)
	case *ledgerv1.Event_AccountRolesSet:
		n.key(keyspace.PrefixAccounts, split(k.AccountRolesSet.GetName(), 2)...)
	case *ledgerv1.Event_AccountKeysChanged:
		n.key(keyspace.PrefixAccounts, split(k.AccountKeysChanged.GetName(), 2)...)
	case *ledgerv1.Event_AccountTokenKeysSet:
		n.key(keyspace.PrefixAccounts, split(k.AccountTokenKeysSet.GetName(), 2)...)

	case *ledgerv1.Event_AssetCreated:
		n.key(keyspace.PrefixAssets, split(k.AssetCreated.GetAsset().GetName(), 2)...)
	case *ledgerv1.Event_AssetMinted:
		n.holdings(k.AssetMinted.GetAsset(), true, k.AssetMinted.GetTo())
	case *ledgerv1.Event_AssetBurned:
		n.holdings(k.AssetBurned.GetAsset(), true, k.AssetBurned.GetFrom())
	case *ledgerv1.Event_AssetTransferred:
		n.holdings(k.AssetTransferred.GetAsset(), false, k.AssetTransferred.GetFrom(), k.AssetTransferred.GetTo())
	case *ledgerv1.Event_AssetFrozenSet:
		n.holdings(k.AssetFrozenSet.GetAsset(), false, k.AssetFrozenSet.GetAccount())
	case *ledgerv1.Event_AssetHoldOpened:
		hold := k.AssetHoldOpened.GetHold()
		n.hold(hold.GetId())
		n.holdings(hold.GetAsset(), false, hold.GetFrom())
	case *ledgerv1.Event_AssetHoldReleased:
		hold := k.AssetHoldReleased.GetHold()
		n.hold(hold.GetId())
		n.holdings(hold.GetAsset(), false, hold.GetFrom(), hold.GetTo())
	case *ledgerv1.Event_AssetHoldCancelled:
		hold := k.AssetHoldCancelled.GetHold()
		n.hold(hold.GetId())
		n.holdings(hold.GetAsset(), false, hold.GetFrom())

	case *ledgerv1.Event_RecordCollectionSet:
		n.key(keyspace.PrefixCollections, split(k.RecordCollectionSet.GetCollection().GetName(), 2)...)
	case *ledgerv1.Event_RecordWritten:
		record := split(k.RecordWritten.GetRecord(), 3)
		n.key(keyspace.PrefixRecords, record...)
		n.number(keyspace.PrefixRecordHistory, k.RecordWritten.GetVersion(), append(record, "")...)

	case *ledgerv1.Event_NodeAdded:
		n.key(keyspace.PrefixNodes, k.NodeAdded.GetNode().GetName())
	case *ledgerv1.Event_NodeRemoved:
		n.key(keyspace.PrefixNodes, k.NodeRemoved.GetName())
	case *ledgerv1.Event_NodeChanged:
		n.key(keyspace.PrefixNodes, k.NodeChanged.GetNode().GetName())

	case *ledgerv1.Event_Proposed:
		n.number(keyspace.PrefixProposals, math.MaxUint64-k.Proposed.GetProposal())
	case *ledgerv1.Event_Voted:
		n.number(keyspace.PrefixProposals, math.MaxUint64-k.Voted.GetProposal())
	case *ledgerv1.Event_ProposalClosed:
		n.number(keyspace.PrefixProposals, math.MaxUint64-k.ProposalClosed.GetProposal())
	case *ledgerv1.Event_CharterSet:
		n.key(keyspace.PrefixCharter, "charter")
	case *ledgerv1.Event_UpgradeScheduled:
		n.key(keyspace.PrefixChain, "upgrade")

	case *ledgerv1.Event_OrgAdmitted:
		n.key(keyspace.PrefixOrgs, k.OrgAdmitted.GetOrg().GetName())
	case *ledgerv1.Event_OrgStatusChanged:
		n.key(keyspace.PrefixOrgs, k.OrgStatusChanged.GetName())
	case *ledgerv1.Event_OrgAllotmentSet:
		n.key(keyspace.PrefixOrgs, k.OrgAllotmentSet.GetName())
	default:
		n.err = errorf(ErrFormat, "an event of a kind that this version does not know")
	}
}
