package app

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/app/records"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// Touched returns the keys of the state that events name, in ascending order, none twice: accounts, assets, holdings and supplies,
// holds, records and their versions, collections, orgs, nodes, proposals, the charter, the planned upgrade. events is an encoded
// EventList. The state is one in which the events have happened; its values are read, so that the layout of keys stays the
// modules' own.
func Touched(kv exec.Reader, events []byte) ([][]byte, error) {
	list := new(ledgerv1.EventList)
	if err := list.UnmarshalVT(events); err != nil {
		return nil, fmt.Errorf("decode events: %w", err)
	}
	reads := &reads{kv: kv}
	for _, e := range list.Events {
		if err := readNamed(reads, e); err != nil {
			return nil, fmt.Errorf("read what an event names: %w", err)
		}
	}
	slices.SortFunc(reads.keys, bytes.Compare)
	return slices.CompactFunc(reads.keys, bytes.Equal), nil
}

// reads remembers which keys were read.
type reads struct {
	kv   exec.Reader
	keys [][]byte
}

func (r *reads) Get(key []byte) ([]byte, error) {
	r.keys = append(r.keys, bytes.Clone(key))
	return r.kv.Get(key)
}

// readNamed reads what an event names.
func readNamed(kv exec.Reader, e *ledgerv1.Event) (err error) {
	switch k := e.Kind.(type) {
	case *ledgerv1.Event_AccountCreated:
		return readAccount(kv, k.AccountCreated.GetAccount().GetName())
	case *ledgerv1.Event_AccountRolesSet:
		return readAccount(kv, k.AccountRolesSet.Name)
	case *ledgerv1.Event_AccountKeysChanged:
		return readAccount(kv, k.AccountKeysChanged.Name)
	case *ledgerv1.Event_AccountTokenKeysSet:
		return readAccount(kv, k.AccountTokenKeysSet.Name)

	case *ledgerv1.Event_AssetCreated:
		_, err = assets.Read(kv).Asset(k.AssetCreated.GetAsset().GetName())
	case *ledgerv1.Event_AssetMinted:
		return readHoldings(kv, k.AssetMinted.Asset, true, k.AssetMinted.To)
	case *ledgerv1.Event_AssetBurned:
		return readHoldings(kv, k.AssetBurned.Asset, true, k.AssetBurned.From)
	case *ledgerv1.Event_AssetTransferred:
		return readHoldings(kv, k.AssetTransferred.Asset, false, k.AssetTransferred.From, k.AssetTransferred.To)
	case *ledgerv1.Event_AssetFrozenSet:
		return readHoldings(kv, k.AssetFrozenSet.Asset, false, k.AssetFrozenSet.Account)
	case *ledgerv1.Event_AssetHoldOpened:
		hold := k.AssetHoldOpened.GetHold()
		if _, err := assets.Read(kv).Hold(hold.GetId()); err != nil {
			return err
		}
		return readHoldings(kv, hold.GetAsset(), false, hold.GetFrom())
	case *ledgerv1.Event_AssetHoldReleased:
		hold := k.AssetHoldReleased.GetHold()
		if _, err := assets.Read(kv).Hold(hold.GetId()); err != nil {
			return err
		}
		return readHoldings(kv, hold.GetAsset(), false, hold.GetFrom(), hold.GetTo())
	case *ledgerv1.Event_AssetHoldCancelled:
		hold := k.AssetHoldCancelled.GetHold()
		if _, err := assets.Read(kv).Hold(hold.GetId()); err != nil {
			return err
		}
		return readHoldings(kv, hold.GetAsset(), false, hold.GetFrom())

	case *ledgerv1.Event_RecordCollectionSet:
		_, err = records.Read(kv).Collection(k.RecordCollectionSet.GetCollection().GetName())
	case *ledgerv1.Event_RecordWritten:
		if _, err := records.Read(kv).Head(k.RecordWritten.Record); err != nil {
			return err
		}
		_, err = records.Read(kv).Version(k.RecordWritten.Record, k.RecordWritten.Version)

	case *ledgerv1.Event_NodeAdded:
		_, err = membership.Read(kv).Node(k.NodeAdded.GetNode().GetName())
	case *ledgerv1.Event_NodeRemoved:
		_, err = membership.Read(kv).Node(k.NodeRemoved.Name)
	case *ledgerv1.Event_NodeChanged:
		_, err = membership.Read(kv).Node(k.NodeChanged.GetNode().GetName())

	case *ledgerv1.Event_Proposed:
		_, err = governance.Read(kv).Proposal(k.Proposed.Proposal)
	case *ledgerv1.Event_Voted:
		_, err = governance.Read(kv).Proposal(k.Voted.Proposal)
	case *ledgerv1.Event_ProposalClosed:
		_, err = governance.Read(kv).Proposal(k.ProposalClosed.Proposal)
	case *ledgerv1.Event_CharterSet:
		_, err = governance.Read(kv).Charter()
	case *ledgerv1.Event_UpgradeScheduled:
		_, err = governance.Read(kv).Upgrade()

	case *ledgerv1.Event_OrgAdmitted:
		_, err = accounts.Read(kv).Org(k.OrgAdmitted.GetOrg().GetName())
	case *ledgerv1.Event_OrgStatusChanged:
		_, err = accounts.Read(kv).Org(k.OrgStatusChanged.Name)
	case *ledgerv1.Event_OrgAllotmentSet:
		_, err = accounts.Read(kv).Org(k.OrgAllotmentSet.Name)
	default:
		return fmt.Errorf("an event of an unknown kind: %T", e.Kind)
	}
	return err
}

func readAccount(kv exec.Reader, name string) error {
	_, err := accounts.Read(kv).Account(name)
	return err
}

// readHoldings reads what accounts hold of an asset, and with supply how much of it there is. The asset itself says what the
// amounts are: how many decimals they have.
func readHoldings(kv exec.Reader, asset string, supply bool, of ...string) error {
	if _, err := assets.Read(kv).Asset(asset); err != nil {
		return err
	}
	if supply {
		if _, err := assets.Read(kv).Supply(asset); err != nil {
			return err
		}
	}
	for _, account := range of {
		if _, err := assets.Read(kv).Holding(asset, account); err != nil {
			return err
		}
	}
	return nil
}
