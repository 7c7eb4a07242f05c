package main

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// rulesPrefix begins the keys of rules: rules.admit_org.
const rulesPrefix = "rules."

// setCharter puts KEY=VALUE into a charter of changes. A key may be given once.
func setCharter(charter *governancev1.Charter, text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found || key == "" || value == "" {
		return usagef("--set-charter %.80q is not KEY=VALUE", text)
	}
	if action, isRule := strings.CutPrefix(key, rulesPrefix); isRule {
		return setRule(charter, action, value)
	}
	m := charter.ProtoReflect()
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(key))
	if fd == nil || key == "rules" {
		return hint(usagef("the charter has no limit %.60q", key), "`althing charter show` lists them; rules are set as rules.ACTION=N/D")
	}
	if m.Has(fd) {
		return usagef("--set-charter %s stands twice", key)
	}
	if fd.IsList() {
		return setReadRoles(charter, value)
	}
	switch fd.Kind() {
	case protoreflect.EnumKind:
		number, err := enumNumber(fd.Enum(), value)
		if err != nil {
			return usagef("--set-charter %s: %w", key, err)
		}
		m.Set(fd, protoreflect.ValueOfEnum(number))
	default:
		bits := 64
		if fd.Kind() == protoreflect.Uint32Kind {
			bits = 32
		}
		number, err := strconv.ParseUint(value, 10, bits)
		if err != nil || number == 0 {
			return usagef("--set-charter %s: %.40q is not a whole number above zero", key, value)
		}
		if bits == 32 {
			m.Set(fd, protoreflect.ValueOfUint32(uint32(number)))
		} else {
			m.Set(fd, protoreflect.ValueOfUint64(number))
		}
	}
	return nil
}

// setReadRoles reads ROLE,… or `-` for none.
func setReadRoles(charter *governancev1.Charter, value string) error {
	roles := slices.Sorted(slices.Values(strings.Split(value, ",")))
	if value != "-" {
		for _, role := range roles {
			if err := names.Role(role); err != nil {
				return err
			}
		}
	}
	charter.ReadRoles = slices.Compact(roles)
	return nil
}

// setRule reads N/D[:ORG,…], the rule of an action.
func setRule(charter *governancev1.Charter, name, value string) error {
	action := governancev1.Action_ACTION_UNSPECIFIED
	if name != "default" {
		number, err := enumNumber(action.Descriptor(), name)
		if err != nil {
			return usagef("--set-charter %s%.40s: %w, or default", rulesPrefix, name, err)
		}
		action = governancev1.Action(number)
	}
	if slices.ContainsFunc(charter.Rules, func(r *governancev1.Rule) bool { return r.Action == action }) {
		return usagef("--set-charter %s%s stands twice", rulesPrefix, name)
	}
	share, proposers, limited := strings.Cut(value, ":")
	above, below, found := strings.Cut(share, "/")
	numerator, err := strconv.ParseUint(above, 10, 32)
	if err != nil || !found {
		return usagef("--set-charter %s%s: %.40q is not N/D, such as 2/3", rulesPrefix, name, value)
	}
	denominator, err := strconv.ParseUint(below, 10, 32)
	if err != nil || denominator == 0 {
		return usagef("--set-charter %s%s: %.40q is not N/D, such as 2/3", rulesPrefix, name, value)
	}
	rule := &governancev1.Rule{Action: action, Numerator: uint32(numerator), Denominator: uint32(denominator)}
	if limited {
		rule.Proposers = slices.Compact(slices.Sorted(slices.Values(strings.Split(proposers, ","))))
		for _, org := range rule.Proposers {
			if err := names.Org(org); err != nil {
				return err
			}
		}
	}
	charter.Rules = append(charter.Rules, rule)
	slices.SortFunc(charter.Rules, func(a, b *governancev1.Rule) int { return int(a.Action) - int(b.Action) })
	return nil
}

// enumNumber finds the value that enumText writes so.
func enumNumber(enum protoreflect.EnumDescriptor, text string) (protoreflect.EnumNumber, error) {
	var known []string
	for i := range enum.Values().Len() {
		number := enum.Values().Get(i).Number()
		if number == 0 {
			continue
		}
		name, _ := enumText(enum, number).(string)
		if name == text {
			return number, nil
		}
		known = append(known, name)
	}
	return 0, usagef("%.40q is none of %s", text, strings.Join(known, ", "))
}
