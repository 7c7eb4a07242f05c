package main

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// deed says in a few words what an operation does that a vote can decide: `suspend globex`.
func deed(op *ledgerv1.Operation) string {
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_OrgAdmit:
		return "admit " + k.OrgAdmit.Name
	case *ledgerv1.Operation_OrgSuspend:
		return "suspend " + k.OrgSuspend.Name
	case *ledgerv1.Operation_OrgResume:
		return "resume " + k.OrgResume.Name
	case *ledgerv1.Operation_OrgRemove:
		return "remove " + k.OrgRemove.Name + spreadWords(k.OrgRemove.Spread)
	case *ledgerv1.Operation_OrgSetAllotment:
		return fmt.Sprintf("let %s have %s", k.OrgSetAllotment.Name, allotmentWords(k.OrgSetAllotment.Allotment))
	case *ledgerv1.Operation_NodeAdd:
		return "add " + nodeWords(k.NodeAdd.GetNode())
	case *ledgerv1.Operation_NodeRemove:
		return "remove node " + k.NodeRemove.Name + spreadWords(k.NodeRemove.Spread)
	case *ledgerv1.Operation_NodeSetAddresses:
		return fmt.Sprintf("set the addresses of node %s to %s", k.NodeSetAddresses.Name, listWords(k.NodeSetAddresses.Addresses))
	case *ledgerv1.Operation_NodeSetPower:
		return fmt.Sprintf("set the power of node %s to %d", k.NodeSetPower.Name, k.NodeSetPower.Power)
	case *ledgerv1.Operation_NodeRotateKey:
		return fmt.Sprintf("give node %s the node key %x", k.NodeRotateKey.Name, k.NodeRotateKey.NodeKey)
	case *ledgerv1.Operation_ValidatorRotateKey:
		return fmt.Sprintf("give node %s the validator key %x", k.ValidatorRotateKey.Name, k.ValidatorRotateKey.ValidatorKey)
	case *ledgerv1.Operation_CharterSet:
		return "set " + charterWords(k.CharterSet.GetCharter())
	case *ledgerv1.Operation_UpgradeSchedule:
		return upgradeWords(k.UpgradeSchedule.GetUpgrade())
	case *ledgerv1.Operation_AccountCreate:
		return "create account " + k.AccountCreate.Name
	case *ledgerv1.Operation_AccountSetRoles:
		return fmt.Sprintf("set the roles of %s to %s", k.AccountSetRoles.Name, listWords(k.AccountSetRoles.Roles))
	case *ledgerv1.Operation_AccountAddKey:
		return "add a key to " + k.AccountAddKey.Name
	case *ledgerv1.Operation_AccountRevokeKey:
		return "revoke a key of " + k.AccountRevokeKey.Name
	case *ledgerv1.Operation_AccountRotateKey:
		return "replace a key of " + k.AccountRotateKey.Name
	case *ledgerv1.Operation_AccountSetTokenKeys:
		o := k.AccountSetTokenKeys
		return fmt.Sprintf("set the token keys of %s to %s", o.Name, publicKeyList(o.TokenKeys))
	default:
		return "something that this version does not know"
	}
}

// reasonOf returns the reason that an operation gives, empty for those that give none.
func reasonOf(op *ledgerv1.Operation) string {
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_OrgSuspend:
		return k.OrgSuspend.Reason
	case *ledgerv1.Operation_OrgResume:
		return k.OrgResume.Reason
	case *ledgerv1.Operation_OrgRemove:
		return k.OrgRemove.Reason
	default:
		return ""
	}
}

// membershipWords says in a sentence what an operation does that concerns members and their votes, and whether it is one.
func membershipWords(op *ledgerv1.Operation) (string, bool) {
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_ProposalCreate:
		var all []string
		for _, inner := range k.ProposalCreate.Operations {
			all = append(all, deed(inner)+because(reasonOf(inner)))
		}
		return fmt.Sprintf("%s proposes %q: %s", op.Account, k.ProposalCreate.Title, strings.Join(all, "; ")), true
	case *ledgerv1.Operation_ProposalVote:
		return fmt.Sprintf("%s votes %s on proposal %d", op.Account, yesNo(k.ProposalVote.Yes), k.ProposalVote.Proposal), true
	case *ledgerv1.Operation_ProposalWithdraw:
		return fmt.Sprintf("%s withdraws proposal %d", op.Account, k.ProposalWithdraw.Proposal), true
	case *ledgerv1.Operation_NodeAdd, *ledgerv1.Operation_NodeRemove, *ledgerv1.Operation_NodeSetAddresses,
		*ledgerv1.Operation_NodeSetPower, *ledgerv1.Operation_NodeRotateKey, *ledgerv1.Operation_ValidatorRotateKey,
		*ledgerv1.Operation_AccountSetTokenKeys, *ledgerv1.Operation_OrgAdmit, *ledgerv1.Operation_OrgSuspend,
		*ledgerv1.Operation_OrgResume, *ledgerv1.Operation_OrgRemove, *ledgerv1.Operation_OrgSetAllotment,
		*ledgerv1.Operation_CharterSet, *ledgerv1.Operation_UpgradeSchedule:
		return op.Account + ": " + deed(op) + because(reasonOf(op)), true
	default:
		return "", false
	}
}

// membershipEventWords says in a sentence what happened to members and proposals, and whether the event is about them.
func membershipEventWords(e *ledgerv1.Event) (string, bool) {
	switch k := e.Kind.(type) {
	case *ledgerv1.Event_AccountTokenKeysSet:
		o := k.AccountTokenKeysSet
		return fmt.Sprintf("%s signs tokens with %s", o.Name, publicKeyList(o.TokenKeys)), true
	case *ledgerv1.Event_NodeAdded:
		return nodeWords(k.NodeAdded.GetNode()) + " is listed", true
	case *ledgerv1.Event_NodeRemoved:
		o := k.NodeRemoved
		return fmt.Sprintf("node %s of %s is removed: it is cut off after block %d", o.Name, o.Org, o.RemovedHeight), true
	case *ledgerv1.Event_NodeChanged:
		o := k.NodeChanged
		return fmt.Sprintf("%s, from block %d on", nodeWords(o.GetNode()), o.EffectiveHeight), true
	case *ledgerv1.Event_Proposed:
		o := k.Proposed
		return fmt.Sprintf("proposal %d of %s, %q, waits for votes until %s", o.Proposal, o.Org, o.Title, atNano(o.DeadlineUnixNano)), true
	case *ledgerv1.Event_Voted:
		o := k.Voted
		return fmt.Sprintf("%s votes %s on proposal %d: %d for it, %d against it, of %s", o.GetBallot().GetOrg(), yesNo(o.GetBallot().GetYes()),
			o.Proposal, o.Yes, o.No, plural(o.Orgs, "organisation")), true
	case *ledgerv1.Event_ProposalClosed:
		o := k.ProposalClosed
		text := fmt.Sprintf("proposal %d is %s", o.Proposal, proposalStatus(o.Status))
		if o.Code != 0 {
			text += fmt.Sprintf(": operation %d was refused, %s", o.FailedOperation, reasonWords(o.Code))
		}
		return text, true
	case *ledgerv1.Event_CharterSet:
		return "the charter says from the next block on: " + charterWords(k.CharterSet.GetCharter()), true
	case *ledgerv1.Event_UpgradeScheduled:
		return "planned: " + upgradeWords(k.UpgradeScheduled.GetUpgrade()), true
	case *ledgerv1.Event_OrgAdmitted:
		o := k.OrgAdmitted.GetOrg()
		return fmt.Sprintf("%s is a member and may have %s", o.GetName(), allotmentWords(o.GetAllotment())), true
	case *ledgerv1.Event_OrgStatusChanged:
		o := k.OrgStatusChanged
		return fmt.Sprintf("%s is %v%s", o.Name, enumText(o.Status.Descriptor(), o.Status.Number()), because(o.Reason)), true
	case *ledgerv1.Event_OrgAllotmentSet:
		return fmt.Sprintf("%s may have %s", k.OrgAllotmentSet.Name, allotmentWords(k.OrgAllotmentSet.Allotment)), true
	default:
		return "", false
	}
}

func nodeWords(n *membershipv1.Node) string {
	kind := fmt.Sprintf("validator with power %d", n.GetPower())
	if n.GetPower() == 0 {
		kind = kindObserver
	}
	return fmt.Sprintf("node %s of %s, %s, at %s", n.GetName(), n.GetOrg(), kind, listWords(n.GetAddresses()))
}

func allotmentWords(a *accountsv1.Allotment) string {
	return fmt.Sprintf("power %d and %s", a.GetPower(), plural(a.GetNodes(), "node"))
}

// charterWords lists what a charter says: `block_interval_ms=500, rules.admit_org=2/3`.
func charterWords(c *governancev1.Charter) string {
	var all []string
	m := c.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case !m.Has(fd):
		case fd.Name() == "rules":
			for _, r := range c.Rules {
				all = append(all, ruleWords(r))
			}
		case fd.IsList():
			all = append(all, fmt.Sprintf("%s=%s", fd.Name(), strings.Join(c.ReadRoles, ",")))
		case fd.Kind() == protoreflect.EnumKind:
			all = append(all, fmt.Sprintf("%s=%v", fd.Name(), enumText(fd.Enum(), m.Get(fd).Enum())))
		default:
			all = append(all, fmt.Sprintf("%s=%v", fd.Name(), m.Get(fd).Interface()))
		}
	}
	return listWords(all)
}

func ruleWords(r *governancev1.Rule) string {
	action := fmt.Sprint(enumText(r.Action.Descriptor(), r.Action.Number()))
	if r.Action == governancev1.Action_ACTION_UNSPECIFIED {
		action = "default"
	}
	text := fmt.Sprintf("%s%s=%d/%d", rulesPrefix, action, r.Numerator, r.Denominator)
	if len(r.Proposers) > 0 {
		text += ":" + strings.Join(r.Proposers, ",")
	}
	return text
}

func upgradeWords(u *governancev1.Upgrade) string {
	if u.GetHeight() == 0 {
		return "no change of rules"
	}
	text := fmt.Sprintf("change to rules of level %d at height %d", u.FeatureLevel, u.Height)
	if u.Note != "" {
		text += ": " + u.Note
	}
	return text
}

func publicKeyList(list []*keysv1.PublicKey) string {
	var all []string
	for _, k := range list {
		all = append(all, keyText(k))
	}
	return listWords(all)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf(" because %q", reason)
}

func spreadWords(spread bool) string {
	if spread {
		return ", over several blocks where needed"
	}
	return ""
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// atNano is a time of the ledger as it is printed.
func atNano(unixNano int64) string { return time.Unix(0, unixNano).UTC().Format(timeFormat) }
