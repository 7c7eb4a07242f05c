package subjects

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// what says what a text names.
type what uint8

const (
	unlisted what = iota
	nothing       // that is a subject: free text, an amount, a role, a node
	anOrg
	anAccount
	anAsset
	aCollection
	aRecord
)

// named says of every text in operations and events what it names.
var named = map[protoreflect.FullName]what{
	"althing.ledger.v1.Body.chain_id":     nothing,
	"althing.ledger.v1.Body.memo":         nothing,
	"althing.ledger.v1.Body.payer":        anAccount,
	"althing.ledger.v1.Operation.account": anAccount,
	"althing.ledger.v1.Propose.title":     nothing,
	"althing.ledger.v1.Signature.account": anAccount,

	"althing.accounts.v1.Account.name":            anAccount,
	"althing.accounts.v1.Account.roles":           nothing,
	"althing.accounts.v1.AddKey.name":             anAccount,
	"althing.accounts.v1.AdmitOrg.name":           anOrg,
	"althing.accounts.v1.AllotmentSet.name":       anOrg,
	"althing.accounts.v1.Create.name":             anAccount,
	"althing.accounts.v1.Create.roles":            nothing,
	"althing.accounts.v1.KeysChanged.name":        anAccount,
	"althing.accounts.v1.Org.name":                anOrg,
	"althing.accounts.v1.Org.status_reason":       nothing,
	"althing.accounts.v1.OrgStatusChanged.name":   anOrg,
	"althing.accounts.v1.OrgStatusChanged.reason": nothing,
	"althing.accounts.v1.RemoveOrg.name":          anOrg,
	"althing.accounts.v1.RemoveOrg.reason":        nothing,
	"althing.accounts.v1.ResumeOrg.name":          anOrg,
	"althing.accounts.v1.ResumeOrg.reason":        nothing,
	"althing.accounts.v1.RevokeKey.name":          anAccount,
	"althing.accounts.v1.RolesSet.name":           anAccount,
	"althing.accounts.v1.RolesSet.roles":          nothing,
	"althing.accounts.v1.RotateKey.name":          anAccount,
	"althing.accounts.v1.SetAllotment.name":       anOrg,
	"althing.accounts.v1.SetRoles.name":           anAccount,
	"althing.accounts.v1.SetRoles.roles":          nothing,
	"althing.accounts.v1.SetTokenKeys.name":       anAccount,
	"althing.accounts.v1.SuspendOrg.name":         anOrg,
	"althing.accounts.v1.SuspendOrg.reason":       nothing,
	"althing.accounts.v1.TokenKeysSet.name":       anAccount,

	"althing.assets.v1.Asset.cap":          nothing,
	"althing.assets.v1.Asset.freeze_role":  nothing,
	"althing.assets.v1.Asset.mint_role":    nothing,
	"althing.assets.v1.Asset.name":         anAsset,
	"althing.assets.v1.Burn.amount":        nothing,
	"althing.assets.v1.Burn.asset":         anAsset,
	"althing.assets.v1.Burned.amount":      nothing,
	"althing.assets.v1.Burned.asset":       anAsset,
	"althing.assets.v1.Burned.from":        anAccount,
	"althing.assets.v1.Create.asset":       anAsset,
	"althing.assets.v1.Create.cap":         nothing,
	"althing.assets.v1.Create.freeze_role": nothing,
	"althing.assets.v1.Create.mint_role":   nothing,
	"althing.assets.v1.FrozenSet.account":  anAccount,
	"althing.assets.v1.FrozenSet.asset":    anAsset,
	"althing.assets.v1.Hold.amount":        nothing,
	"althing.assets.v1.Hold.arbiter":       anAccount,
	"althing.assets.v1.Hold.asset":         anAsset,
	"althing.assets.v1.Hold.from":          anAccount,
	"althing.assets.v1.Hold.to":            anAccount,
	"althing.assets.v1.Mint.amount":        nothing,
	"althing.assets.v1.Mint.asset":         anAsset,
	"althing.assets.v1.Mint.to":            anAccount,
	"althing.assets.v1.Minted.amount":      nothing,
	"althing.assets.v1.Minted.asset":       anAsset,
	"althing.assets.v1.Minted.to":          anAccount,
	"althing.assets.v1.OpenHold.amount":    nothing,
	"althing.assets.v1.OpenHold.arbiter":   anAccount,
	"althing.assets.v1.OpenHold.asset":     anAsset,
	"althing.assets.v1.OpenHold.to":        anAccount,
	"althing.assets.v1.SetFrozen.account":  anAccount,
	"althing.assets.v1.SetFrozen.asset":    anAsset,
	"althing.assets.v1.Transfer.amount":    nothing,
	"althing.assets.v1.Transfer.asset":     anAsset,
	"althing.assets.v1.Transfer.to":        anAccount,
	"althing.assets.v1.Transferred.amount": nothing,
	"althing.assets.v1.Transferred.asset":  anAsset,
	"althing.assets.v1.Transferred.from":   anAccount,
	"althing.assets.v1.Transferred.to":     anAccount,

	"althing.records.v1.Collection.name":          aCollection,
	"althing.records.v1.Grant.org":                anOrg,
	"althing.records.v1.Grant.role":               nothing,
	"althing.records.v1.Put.content_type":         nothing,
	"althing.records.v1.Put.cosigner":             anAccount,
	"althing.records.v1.Put.record":               aRecord,
	"althing.records.v1.SetCollection.collection": aCollection,
	"althing.records.v1.Written.content_type":     nothing,
	"althing.records.v1.Written.cosigner":         anAccount,
	"althing.records.v1.Written.record":           aRecord,
	"althing.records.v1.Written.writer":           anAccount,

	"althing.membership.v1.Node.addresses":          nothing,
	"althing.membership.v1.Node.name":               nothing,
	"althing.membership.v1.Node.org":                anOrg,
	"althing.membership.v1.NodeRemoved.name":        nothing,
	"althing.membership.v1.NodeRemoved.org":         anOrg,
	"althing.membership.v1.RemoveNode.name":         nothing,
	"althing.membership.v1.RotateNodeKey.name":      nothing,
	"althing.membership.v1.RotateValidatorKey.name": nothing,
	"althing.membership.v1.SetAddresses.addresses":  nothing,
	"althing.membership.v1.SetAddresses.name":       nothing,
	"althing.membership.v1.SetPower.name":           nothing,

	"althing.governance.v1.Ballot.account":     anAccount,
	"althing.governance.v1.Ballot.org":         anOrg,
	"althing.governance.v1.Charter.read_roles": nothing,
	"althing.governance.v1.Proposed.org":       anOrg,
	"althing.governance.v1.Proposed.title":     nothing,
	"althing.governance.v1.Rule.proposers":     anOrg,
	"althing.governance.v1.Upgrade.note":       nothing,
}

// A shape is what a message may contain that matters here, read once from its descriptor.
type shape struct {
	fields []field // by number
}

type field struct {
	names   what   // of a text
	message *shape // of a message, or of bytes that are one
	kind    string // of a member of the oneof `kind`: its name
}

// body is where a transaction keeps its encoded Body.
const body protoreflect.FullName = "althing.ledger.v1.Tx.body"

var shapes = func() (s struct{ tx, operation, event, events *shape }) {
	known := map[protoreflect.FullName]*shape{}
	s.tx = shapeOf((&ledgerv1.Tx{}).ProtoReflect().Descriptor(), known)
	s.events = shapeOf((&ledgerv1.EventList{}).ProtoReflect().Descriptor(), known)
	s.operation = known[(&ledgerv1.Operation{}).ProtoReflect().Descriptor().FullName()]
	s.event = known[(&ledgerv1.Event{}).ProtoReflect().Descriptor().FullName()]
	return s
}()

func shapeOf(d protoreflect.MessageDescriptor, known map[protoreflect.FullName]*shape) *shape {
	if s, ok := known[d.FullName()]; ok {
		return s
	}
	s := new(shape)
	known[d.FullName()] = s
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := field{names: nothing}
		switch {
		case fd.FullName() == body:
			f.message = shapeOf((&ledgerv1.Body{}).ProtoReflect().Descriptor(), known)
		case fd.Kind() == protoreflect.MessageKind:
			f.message = shapeOf(fd.Message(), known)
		case fd.Kind() == protoreflect.StringKind && named[fd.FullName()] != unlisted:
			f.names = named[fd.FullName()]
		}
		if group := fd.ContainingOneof(); group != nil && group.Name() == "kind" {
			f.kind = string(fd.Name())
		}
		for len(s.fields) <= int(fd.Number()) {
			s.fields = append(s.fields, field{names: nothing})
		}
		s.fields[fd.Number()] = f
	}
	return s
}

// kinds are the names of all operations and events, sorted.
var kinds = func() (all []string) {
	for _, m := range []protoreflect.Message{(&ledgerv1.Operation{}).ProtoReflect(), (&ledgerv1.Event{}).ProtoReflect()} {
		members := m.Descriptor().Oneofs().ByName("kind").Fields()
		for i := range members.Len() {
			all = append(all, string(members.Get(i).Name()))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}()
