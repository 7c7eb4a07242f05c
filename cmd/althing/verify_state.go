package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/app/records"
	"github.com/althing-ledger/althing/client/verify"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// stateEntry is something that stood in the state after the transaction's block, or is proven not to.
type stateEntry struct {
	kind, name string
	details    object // nil where there is nothing
	words      string
}

func (e stateEntry) MarshalJSON() ([]byte, error) {
	entry := object{{"kind", e.kind}, {"name", e.name}, {"exists", e.details != nil}, {"details", nil}}
	if e.details != nil {
		entry[3].value = e.details
	}
	return entry.MarshalJSON()
}

// stateReader reads what the events of a transaction name from the proven part of a state, each thing once.
type stateReader struct {
	view    *verify.Witness
	units   *units
	entries []stateEntry
	seen    map[string]bool
}

// provenState returns what a receipt proves of the state, nil where it proves nothing of it. It learns the decimals of assets on
// the way.
func provenState(ctx context.Context, u *units, t *verify.Transaction) ([]stateEntry, error) {
	for _, e := range t.Events.GetEvents() {
		if a := e.GetAssetCreated().GetAsset(); a != nil {
			u.learn(a.Name, a.Decimals)
		}
	}
	if t.State == nil {
		return nil, nil
	}
	r := &stateReader{view: t.State, units: u, entries: []stateEntry{}, seen: map[string]bool{}}
	// Assets first: their decimals are those of all amounts.
	for _, read := range []func(context.Context, *ledgerv1.Event) error{r.readAssets, r.readHoldings, r.readOther, r.readMembers} {
		for _, e := range t.Events.GetEvents() {
			if err := read(ctx, e); err != nil {
				return nil, fmt.Errorf("state after block %d: %w", t.State.Height(), err)
			}
		}
	}
	return r.entries, nil
}

// add reads one thing, unless that was done before or the proof says nothing of it. The function returns nil details for what
// is proven not to be there.
func (r *stateReader) add(kind, name string, read func() (details object, words string, err error)) error {
	if name == "" || r.seen[kind+" "+name] {
		return nil
	}
	r.seen[kind+" "+name] = true
	details, words, err := read()
	switch {
	case errors.Is(err, verify.ErrNotCovered):
		return nil
	case err != nil:
		return err
	case details == nil:
		words = fmt.Sprintf("there is no %s %s", kind, name)
	}
	r.entries = append(r.entries, stateEntry{kind, name, details, words})
	return nil
}

// addMessage reads one thing that is a message.
func addMessage[M proto.Message](ctx context.Context, r *stateReader, kind, name string, read func() (M, error), words func(M) string) error {
	return r.add(kind, name, func() (object, string, error) {
		m, err := read()
		if err != nil || !m.ProtoReflect().IsValid() {
			return nil, "", err
		}
		return r.units.render(ctx, m), words(m), nil
	})
}

// assetsOf returns the asset of an event and who has, had or may get some of it.
func assetsOf(e *ledgerv1.Event) (asset string, holders []string) {
	switch k := e.Kind.(type) {
	case *ledgerv1.Event_AssetCreated:
		return k.AssetCreated.GetAsset().GetName(), nil
	case *ledgerv1.Event_AssetMinted:
		return k.AssetMinted.Asset, []string{k.AssetMinted.To}
	case *ledgerv1.Event_AssetBurned:
		return k.AssetBurned.Asset, []string{k.AssetBurned.From}
	case *ledgerv1.Event_AssetTransferred:
		return k.AssetTransferred.Asset, []string{k.AssetTransferred.From, k.AssetTransferred.To}
	case *ledgerv1.Event_AssetFrozenSet:
		return k.AssetFrozenSet.Asset, []string{k.AssetFrozenSet.Account}
	default:
		h := holdOf(e)
		return h.GetAsset(), []string{h.GetFrom(), h.GetTo()}
	}
}

func holdOf(e *ledgerv1.Event) *assetsv1.Hold {
	for _, opened := range []interface{ GetHold() *assetsv1.Hold }{e.GetAssetHoldOpened(), e.GetAssetHoldReleased(), e.GetAssetHoldCancelled()} {
		if h := opened.GetHold(); h != nil {
			return h
		}
	}
	return nil
}

func (r *stateReader) readAssets(ctx context.Context, e *ledgerv1.Event) error {
	name, _ := assetsOf(e)
	from := assets.Read(r.view)
	err := addMessage(ctx, r, "asset", name, func() (*assetsv1.Asset, error) {
		a, err := from.Asset(name)
		if a != nil {
			r.units.learn(name, a.Decimals)
		}
		return a, err
	}, func(a *assetsv1.Asset) string {
		return fmt.Sprintf("asset %s has %s%s", name, plural(a.Decimals, "decimal"), capWords(a.Cap, a.Decimals))
	})
	return errors.Join(err, r.add("supply", name, func() (object, string, error) {
		supply, err := from.Supply(name)
		if err != nil {
			return nil, "", err
		}
		return r.amount(ctx, name, "amount", supply.String()), "there are " + r.units.words(ctx, name, supply.String()) + " in all", nil
	}))
}

// amount returns an amount as render prints it.
func (r *stateReader) amount(ctx context.Context, asset, name, base string) object {
	text, known := r.units.format(ctx, asset, base)
	if !known {
		name += "_base_units"
	}
	return object{{name, text}}
}

func (r *stateReader) readHoldings(ctx context.Context, e *ledgerv1.Event) error {
	asset, holders := assetsOf(e)
	from := assets.Read(r.view)
	for _, account := range holders {
		err := r.add("balance", holdingName(asset, account), func() (object, string, error) {
			h, err := from.Holding(asset, account)
			if err != nil {
				return nil, "", err
			}
			details := object{{"asset", asset}, {"account", account}}
			details = append(details, r.amount(ctx, asset, "amount", h.Balance.String())...)
			details = append(append(details, r.amount(ctx, asset, "held", h.Held.String())...), field{"frozen", h.Frozen})
			held, _ := r.units.format(ctx, asset, h.Held.String())
			return details, fmt.Sprintf("%s has %s%s", account, r.units.words(ctx, asset, h.Balance.String()), heldWords(balance{Held: held, Frozen: h.Frozen})), nil
		})
		if err != nil {
			return err
		}
	}
	if h := holdOf(e); h != nil {
		return addMessage(ctx, r, "hold", hex.EncodeToString(h.Id), func() (*assetsv1.Hold, error) { return from.Hold(h.Id) },
			func(h *assetsv1.Hold) string { return holdWords(ctx, r.units, h) + " is open" })
	}
	return nil
}

// holdingName returns what a balance is called, empty where the event names none.
func holdingName(asset, account string) string {
	if asset == "" || account == "" {
		return ""
	}
	return asset + " of " + account
}

// readOther reads records, collections and accounts.
func (r *stateReader) readOther(ctx context.Context, e *ledgerv1.Event) error {
	from := records.Read(r.view)
	switch k := e.Kind.(type) {
	case *ledgerv1.Event_RecordWritten:
		return errors.Join(r.readRecord(ctx, from, k.RecordWritten), r.add("newest version", k.RecordWritten.Record, func() (object, string, error) {
			version, err := from.Head(k.RecordWritten.Record)
			if err != nil || version == 0 {
				return nil, "", err
			}
			return object{{"version", version}}, fmt.Sprintf("version %d of %s is the newest", version, k.RecordWritten.Record), nil
		}))
	case *ledgerv1.Event_RecordCollectionSet:
		name := k.RecordCollectionSet.GetCollection().GetName()
		return addMessage(ctx, r, "collection", name, func() (*recordsv1.Collection, error) { return from.Collection(name) },
			func(c *recordsv1.Collection) string {
				return fmt.Sprintf("%s write %s%s", grantWords(c.Writers), name, cosignWords(c.Cosign))
			})
	}
	for _, name := range []string{
		e.GetAccountCreated().GetAccount().GetName(), e.GetAccountRolesSet().GetName(), e.GetAccountKeysChanged().GetName(),
		e.GetAccountTokenKeysSet().GetName(),
	} {
		if err := r.readAccount(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (r *stateReader) readRecord(ctx context.Context, from records.Reader, w *recordsv1.Written) error {
	return addMessage(ctx, r, "record", fmt.Sprintf("%s version %d", w.Record, w.Version),
		func() (*recordsv1.Record, error) { return from.Version(w.Record, w.Version) },
		func(record *recordsv1.Record) string {
			content := plural(len(record.GetData()), "byte")
			if h := record.GetHash(); h != nil {
				content = fmt.Sprintf("the hash %x of %s", h.Sha256, plural(h.Size, "byte"))
			}
			return fmt.Sprintf("version %d of %s is %s of %s, written by %s in block %d at %s", record.Version, record.Name, content,
				record.ContentType, record.Writer, record.Height, time.Unix(0, record.TimeUnixNano).UTC().Format(timeFormat))
		})
}

// readMembers reads organisations, nodes, proposals and the charter.
func (r *stateReader) readMembers(ctx context.Context, e *ledgerv1.Event) error {
	for _, name := range []string{e.GetNodeAdded().GetNode().GetName(), e.GetNodeRemoved().GetName(), e.GetNodeChanged().GetNode().GetName()} {
		if err := r.readNode(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range []string{e.GetOrgAdmitted().GetOrg().GetName(), e.GetOrgStatusChanged().GetName(), e.GetOrgAllotmentSet().GetName()} {
		if err := r.readOrg(ctx, name); err != nil {
			return err
		}
	}
	for _, id := range []uint64{e.GetProposed().GetProposal(), e.GetVoted().GetProposal(), e.GetProposalClosed().GetProposal()} {
		if err := r.readProposal(ctx, id); err != nil {
			return err
		}
	}
	from := governance.Read(r.view)
	if e.GetCharterSet() != nil {
		return addMessage(ctx, r, "charter", "in force", from.Charter, func(c *governancev1.Charter) string { return "the charter: " + charterWords(c) })
	}
	if e.GetUpgradeScheduled() != nil {
		return addMessage(ctx, r, "upgrade", "planned", from.Upgrade, upgradeWords)
	}
	return nil
}

func (r *stateReader) readAccount(ctx context.Context, name string) error {
	return addMessage(ctx, r, "account", name,
		func() (*accountsv1.Account, error) { return accounts.Read(r.view).Account(name) },
		func(a *accountsv1.Account) string {
			return fmt.Sprintf("account %s has %s and roles %s", name, keyList(a.Keys, a.Threshold), listWords(a.Roles))
		})
}

func (r *stateReader) readOrg(ctx context.Context, name string) error {
	return addMessage(ctx, r, "org", name,
		func() (*accountsv1.Org, error) { return accounts.Read(r.view).Org(name) },
		func(o *accountsv1.Org) string {
			return fmt.Sprintf("organisation %s is %s%s and may have %s", name, orgStatus(o), because(o.StatusReason), allotmentWords(o.Allotment))
		})
}

func (r *stateReader) readNode(ctx context.Context, name string) error {
	return addMessage(ctx, r, "node", name,
		func() (*membershipv1.Node, error) { return membership.Read(r.view).Node(name) },
		func(n *membershipv1.Node) string {
			if n.RemovedHeight > 0 {
				return fmt.Sprintf("%s, is removed with block %d", nodeWords(n), n.RemovedHeight)
			}
			return nodeWords(n) + ", is listed"
		})
}

func (r *stateReader) readProposal(ctx context.Context, id uint64) error {
	if id == 0 {
		return nil
	}
	return addMessage(ctx, r, "proposal", strconv.FormatUint(id, 10),
		func() (*proposalsv1.Proposal, error) { return governance.Read(r.view).Proposal(id) },
		func(p *proposalsv1.Proposal) string {
			return fmt.Sprintf("proposal %d of %s, %q, is %v", id, p.Org, p.Title, enumText(p.Status.Descriptor(), p.Status.Number()))
		})
}
