package governance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/althing-ledger/althing/app/accounts"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// Limits of a rule.
const (
	MaxDenominator = 1000
	MaxProposers   = 64
)

// ActionOf says which action of the charter's rules an operation is. An operation that a vote cannot decide has none.
func ActionOf(op *ledgerv1.Operation) (governancev1.Action, bool) {
	switch op.GetKind().(type) {
	case *ledgerv1.Operation_OrgAdmit:
		return governancev1.Action_ACTION_ADMIT_ORG, true
	case *ledgerv1.Operation_OrgSuspend, *ledgerv1.Operation_OrgResume:
		return governancev1.Action_ACTION_SUSPEND_ORG, true
	case *ledgerv1.Operation_OrgRemove:
		return governancev1.Action_ACTION_REMOVE_ORG, true
	case *ledgerv1.Operation_NodeAdd, *ledgerv1.Operation_NodeRemove, *ledgerv1.Operation_NodeSetAddresses,
		*ledgerv1.Operation_NodeSetPower, *ledgerv1.Operation_NodeRotateKey, *ledgerv1.Operation_ValidatorRotateKey,
		*ledgerv1.Operation_OrgSetAllotment:
		return governancev1.Action_ACTION_NODES, true
	case *ledgerv1.Operation_AccountCreate, *ledgerv1.Operation_AccountSetRoles, *ledgerv1.Operation_AccountAddKey,
		*ledgerv1.Operation_AccountRevokeKey, *ledgerv1.Operation_AccountRotateKey, *ledgerv1.Operation_AccountSetTokenKeys:
		return governancev1.Action_ACTION_ACCOUNTS, true
	case *ledgerv1.Operation_CharterSet:
		return governancev1.Action_ACTION_CHARTER, true
	case *ledgerv1.Operation_UpgradeSchedule:
		return governancev1.Action_ACTION_UPGRADE, true
	}
	return governancev1.Action_ACTION_UNSPECIFIED, false
}

// Rule returns the rule that an action follows: its own, else that of all that have none, else any active org and more than
// two thirds of them. It must not be modified.
func Rule(c *governancev1.Charter, action governancev1.Action) *governancev1.Rule {
	fallback := &governancev1.Rule{Numerator: 2, Denominator: 3}
	for _, rule := range c.GetRules() {
		switch rule.Action {
		case action:
			return rule
		case governancev1.Action_ACTION_UNSPECIFIED:
			fallback = rule
		}
	}
	return fallback
}

// strictest returns the rule with the highest threshold of all that operations follow. Who changes the rule of an action
// needs as many votes as the action itself, or a rule would be worth no more than that of changing the charter.
func strictest(c *governancev1.Charter, operations []*ledgerv1.Operation) *governancev1.Rule {
	var most *governancev1.Rule
	consider := func(action governancev1.Action) {
		if rule := Rule(c, action); most == nil || stricter(rule, most) {
			most = rule
		}
	}
	for _, op := range operations {
		action, _ := ActionOf(op)
		consider(action)
		if action == governancev1.Action_ACTION_ACCOUNTS {
			// Whoever makes the accounts of an org votes for it.
			for _, rule := range c.GetRules() {
				consider(rule.GetAction())
			}
		}
		for _, rule := range op.GetCharterSet().GetCharter().GetRules() {
			consider(rule.GetAction())
		}
	}
	return most
}

func stricter(a, b *governancev1.Rule) bool {
	return uint64(a.Numerator)*uint64(b.Denominator) > uint64(b.Numerator)*uint64(a.Denominator)
}

// mayPropose reports whether a rule lets an active org propose. When none of those that it lists is active any more, any
// may: otherwise the action could be lost for ever.
func mayPropose(who accounts.Reader, rule *governancev1.Rule, org string) (bool, error) {
	if len(rule.Proposers) == 0 || slices.Contains(rule.Proposers, org) {
		return true, nil
	}
	for _, proposer := range rule.Proposers {
		if active, err := who.IsActive(proposer); err != nil || active {
			return false, err
		}
	}
	return true, nil
}

// concernsProposer reports whether an operation is about the membership of one of those who alone may propose it. Anybody may
// propose that: an org that has lost its keys, or does not want to hear of it, could block the action otherwise.
func concernsProposer(op *ledgerv1.Operation, rule *governancev1.Rule) bool {
	name := ""
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_OrgSuspend:
		name = k.OrgSuspend.GetName()
	case *ledgerv1.Operation_OrgRemove:
		name = k.OrgRemove.GetName()
	}
	return slices.Contains(rule.Proposers, name)
}

// mergeRules returns the rules with those that changes replace and add, in the order of the state. An action with two
// changes keeps both, for [Validate] to find.
func mergeRules(rules, changes []*governancev1.Rule) []*governancev1.Rule {
	if len(changes) == 0 {
		return rules
	}
	merged := slices.DeleteFunc(slices.Clone(rules), func(rule *governancev1.Rule) bool { return hasAction(changes, rule) })
	for _, change := range changes {
		merged = append(merged, &governancev1.Rule{
			Action:      change.GetAction(),
			Numerator:   change.GetNumerator(),
			Denominator: change.GetDenominator(),
			Proposers:   slices.Sorted(slices.Values(change.GetProposers())),
		})
	}
	slices.SortStableFunc(merged, compareActions)
	return merged
}

// hasAction reports whether one of the rules has the action of another.
func hasAction(rules []*governancev1.Rule, of *governancev1.Rule) bool {
	return slices.ContainsFunc(rules, func(rule *governancev1.Rule) bool { return rule.GetAction() == of.GetAction() })
}

func compareActions(a, b *governancev1.Rule) int { return cmp.Compare(a.GetAction(), b.GetAction()) }

// checkRules checks rules in any order.
func checkRules(rules []*governancev1.Rule) []error {
	if most := len(governancev1.Action_name); len(rules) > most {
		return []error{fmt.Errorf("rules holds %d rules, there are %d actions", len(rules), most)}
	}
	var problems []error
	for i, rule := range rules {
		bad := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("rules[%d] (%s): %w", i, actionName(rule.GetAction()), fmt.Errorf(format, args...)))
		}
		if _, known := governancev1.Action_name[int32(rule.GetAction())]; !known {
			bad("this version does not know the action")
		}
		if hasAction(rules[:i], rule) {
			bad("the action has a rule already")
		}
		checkShare(rule.GetNumerator(), rule.GetDenominator(), bad)
		checkProposers(rule.GetProposers(), bad)
	}
	return problems
}

// checkShare reports what is no share that must be exceeded. One half at least, so that two decisions cannot contradict
// each other; less than one, so that all together can always decide.
func checkShare(numerator, denominator uint32, bad func(string, ...any)) {
	switch {
	case denominator < 2 || denominator > MaxDenominator:
		bad("denominator is %d: it is 2 to %d", denominator, MaxDenominator)
	case 2*uint64(numerator) < uint64(denominator) || numerator >= denominator:
		bad("%d/%d is not a share of the orgs to exceed: it is at least one half and less than one", numerator, denominator)
	}
}

func checkProposers(proposers []string, bad func(string, ...any)) {
	if len(proposers) > MaxProposers {
		bad("%d proposers, at most %d are allowed", len(proposers), MaxProposers)
		return
	}
	for i, org := range proposers {
		if err := names.Org(org); err != nil {
			bad("proposers[%d]: %w", i, err)
		} else if slices.Contains(proposers[:i], org) {
			bad("proposers[%d]: %s is listed twice", i, org)
		}
	}
}

// actionName is an action in texts for people: `ADMIT_ORG`.
func actionName(action governancev1.Action) string {
	return strings.TrimPrefix(action.String(), "ACTION_")
}
