package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/internal/home"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// Flags of `proposal create` that each stand for a change.
const (
	flagAdmitOrg   = "admit-org"
	flagSuspendOrg = "suspend-org"
	flagResumeOrg  = "resume-org"
	flagRemoveOrg  = "remove-org"
	flagAddNode    = "add-node"
	flagRemoveNode = "remove-node"
	flagSetPower   = "set-power"
	flagSetCharter = "set-charter"
)

// firstRoles are the roles of the account with which an organisation begins.
func firstRoles() []string { return []string{"admin", "issuer", "payer", "writer"} }

// change is a flag that stands for a change, and its value.
type change struct{ flag, value string }

// changeFlag is the value of such a flag: it remembers its place among the others.
type changeFlag struct {
	flag string
	all  *[]change
}

func (f changeFlag) String() string { return "" }
func (f changeFlag) Type() string   { return "stringArray" }
func (f changeFlag) Set(value string) error {
	if value == "" {
		return errors.New("must not be empty")
	}
	*f.all = append(*f.all, change{f.flag, value})
	return nil
}

// proposalDraft is what the flags of `proposal create` say.
type proposalDraft struct {
	file          string
	title, reason string
	changes       []change
	members       []string
	spread        bool
	upgradeHeight uint64
	level         uint64
	note          string
	upgrade       bool
}

func (d *proposalDraft) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	add := func(name, usage string) { flags.Var(changeFlag{name, &d.changes}, name, usage) }
	flags.StringVar(&d.file, "file", "", "`FILE` with title and operations, - for standard input")
	add(flagAdmitOrg, "make `ORG` a member; may be repeated, like all that follow")
	flags.StringArrayVar(&d.members, "member", nil, "`FILE` that an organisation of --admit-org contributes; may be repeated")
	add(flagSuspendOrg, "take all rights from `ORG` until it is resumed")
	add(flagResumeOrg, "give `ORG` its rights back")
	add(flagRemoveOrg, "end the membership of `ORG` for good")
	add(flagAddNode, "list the nodes of a member `FILE`")
	add(flagRemoveNode, "strike the node `NAME`")
	add(flagSetPower, "`NAME=POWER`: what the vote of a validator counts, 0 for an observer")
	add(flagSetCharter, "`KEY=VALUE`: change a limit of the charter")
	flags.BoolVar(&d.spread, "spread", false, "let removals that take too much power at once take effect over several blocks")
	flags.Uint64Var(&d.upgradeHeight, "upgrade-height", 0, "the first `HEIGHT` under new rules; 0 cancels a planned change")
	flags.Uint64Var(&d.level, "level", 0, "the feature `LEVEL` from that height on")
	flags.StringVar(&d.note, "upgrade-note", "", "what operators should install")
	flags.StringVar(&d.title, "title", "", "what the proposal is called, for people (default: what it does)")
	flags.StringVar(&d.reason, "reason", "", "why an organisation is suspended, resumed or removed; it stays on the ledger")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		d.upgrade = cmd.Flags().Changed("upgrade-height")
		return d.validate()
	}
}

func (d *proposalDraft) validate() error {
	switch {
	case d.file != "" && (len(d.changes) > 0 || d.upgrade || len(d.members) > 0 || d.reason != "" || d.spread):
		return usagef("--file says everything itself: leave the other flags out, but --title")
	case d.file == "" && len(d.changes) == 0 && !d.upgrade:
		return hint(usagef("what is proposed? name a change"), "such as --admit-org ORG or --set-charter KEY=VALUE; `althing proposal create --help` lists them")
	case d.upgrade && d.upgradeHeight > 0 && d.level == 0:
		return usagef("--upgrade-height needs --level: which rules come into force?")
	case !d.upgrade && (d.level != 0 || d.note != ""):
		return usagef("--level and --upgrade-note are for --upgrade-height")
	case d.spread && !d.has(flagRemoveNode) && !d.has(flagRemoveOrg):
		return usagef("--spread is for --remove-node and --remove-org")
	case len(d.members) > 0 && !d.has(flagAdmitOrg):
		return hint(usagef("--member is for --admit-org"), "--add-node FILE lists the nodes of an organisation that is a member")
	case d.reason != "" && !d.has(flagSuspendOrg) && !d.has(flagResumeOrg) && !d.has(flagRemoveOrg):
		return hint(usagef("--reason is for --suspend-org, --resume-org and --remove-org"), "--title says what the proposal is for")
	case len(d.reason) > maxTitle:
		return usagef("--reason has %s, at most %d are allowed", plural(len(d.reason), "byte"), maxTitle)
	}
	return nil
}

func (d *proposalDraft) has(flag string) bool {
	return slices.ContainsFunc(d.changes, func(c change) bool { return c.flag == flag })
}

// propose makes the operation.
func (d *proposalDraft) propose(s *streams, l *link) (*ledgerv1.Propose, error) {
	if d.file != "" {
		return d.fromFile(s)
	}
	members, err := d.readMembers()
	if err != nil {
		return nil, err
	}
	var ops []*ledgerv1.Operation
	charter := new(governancev1.Charter)
	for _, c := range d.changes {
		if c.flag == flagSetCharter {
			if !slices.ContainsFunc(ops, func(op *ledgerv1.Operation) bool { return op.GetCharterSet() != nil }) {
				ops = append(ops, &ledgerv1.Operation{Kind: &ledgerv1.Operation_CharterSet{CharterSet: &governancev1.SetCharter{Charter: charter}}})
			}
			if err := setCharter(charter, c.value); err != nil {
				return nil, err
			}
			continue
		}
		made, err := d.operations(l, c, members)
		if err != nil {
			return nil, err
		}
		ops = append(ops, made...)
	}
	if d.upgrade {
		upgrade := &governancev1.Upgrade{Height: d.upgradeHeight, FeatureLevel: d.level, Note: d.note}
		ops = append(ops, &ledgerv1.Operation{Kind: &ledgerv1.Operation_UpgradeSchedule{
			UpgradeSchedule: &governancev1.ScheduleUpgrade{Upgrade: upgrade},
		}})
	}
	for org := range members {
		return nil, usagef("--member names a file of %s, but there is no --admit-org %s", org, org)
	}
	return proposalOf(d.title, ops)
}

// readMembers reads the files of --member, by organisation.
func (d *proposalDraft) readMembers() (map[string]*home.Member, error) {
	members := map[string]*home.Member{}
	for _, file := range d.members {
		m, err := readMember(file)
		if err != nil {
			return nil, err
		}
		if known := members[m.Org]; known != nil {
			if m, err = mergeMembers(known, m); err != nil {
				return nil, usagef("%s: %w", file, err)
			}
		}
		members[m.Org] = m
	}
	return members, nil
}

// readMember reads a member file that the user names.
func readMember(file string) (*home.Member, error) {
	m, err := home.ReadMember(file)
	if errors.Is(err, home.ErrMember) {
		return nil, hint(usageError(err), "`althing network init` makes such a file, in the home of the node")
	}
	if err != nil {
		return nil, badPath(file, err)
	}
	return m, nil
}

// operations returns what one flag stands for. It takes the member files that it uses out of members.
func (d *proposalDraft) operations(l *link, c change, members map[string]*home.Member) ([]*ledgerv1.Operation, error) {
	one := func(op *ledgerv1.Operation) []*ledgerv1.Operation { return []*ledgerv1.Operation{op} }
	switch c.flag {
	case flagAdmitOrg:
		m := members[c.value]
		delete(members, c.value)
		return admission(l, c.value, m)
	case flagSuspendOrg:
		op, err := orgSuspend(c.value, d.reason)
		return one(op), err
	case flagResumeOrg:
		op, err := orgResume(c.value, d.reason)
		return one(op), err
	case flagRemoveOrg:
		op, err := orgRemove(c.value, d.reason, d.spread)
		return one(op), err
	case flagAddNode:
		m, err := readMember(c.value)
		if err != nil {
			return nil, err
		}
		if len(m.Nodes) == 0 {
			return nil, usagef("%s lists no node", c.value)
		}
		return listings(m), nil
	case flagRemoveNode:
		if err := names.Node(c.value); err != nil {
			return nil, err
		}
		return one(&ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeRemove{
			NodeRemove: &membershipv1.RemoveNode{Name: c.value, Spread: d.spread},
		}}), nil
	default: // flagSetPower
		name, text, found := strings.Cut(c.value, "=")
		power, err := strconv.ParseUint(text, 10, 63)
		if !found || err != nil {
			return nil, usagef("--set-power %.80q is not NAME=POWER", c.value)
		}
		op, err := nodePower(name, power)
		return one(op), err
	}
}

// admission returns the operations that make an organisation a member: with the accounts and the nodes that it brings, or
// with an account whose key is made here.
func admission(l *link, org string, m *home.Member) ([]*ledgerv1.Operation, error) {
	if err := names.Org(org); err != nil {
		return nil, err
	}
	admit := &accountsv1.AdmitOrg{Name: org}
	op := &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgAdmit{OrgAdmit: admit}}
	if m != nil {
		admit.Accounts = m.Accounts
		return append([]*ledgerv1.Operation{op}, listings(m)...), nil
	}
	account := org + "/admin"
	weighted, err := ownKeys(l, account)
	if err != nil {
		return nil, err
	}
	admit.Accounts = []*accountsv1.Create{{Name: account, Keys: weighted, Threshold: 1, Roles: firstRoles()}}
	return []*ledgerv1.Operation{op}, nil
}

// listings returns the operations that list the nodes of a member file.
func listings(m *home.Member) []*ledgerv1.Operation {
	var ops []*ledgerv1.Operation
	for _, node := range m.Nodes {
		ops = append(ops, &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: node}})
	}
	return ops
}

// proposalFile is what --file takes.
type proposalFile struct {
	Title      string            `json:"title"`
	Operations []json.RawMessage `json:"operations"`
}

func (d *proposalDraft) fromFile(s *streams) (*ledgerv1.Propose, error) {
	data, err := s.readFile(d.file, maxOperationsFile)
	if err != nil {
		return nil, err
	}
	title, ops, err := parseProposalFile(data)
	if err != nil {
		return nil, hint(usagef("%s: %w", d.file, err), "`althing proposal create --help` shows what the file looks like")
	}
	if d.title != "" {
		title = d.title
	}
	return proposalOf(title, ops)
}

// parseProposalFile reads a file of title and operations. The members act in a proposal, so its operations name no account.
func parseProposalFile(data []byte) (string, []*ledgerv1.Operation, error) {
	var file proposalFile
	if err := decodeJSON(data, &file); err != nil {
		return "", nil, err
	}
	if len(file.Operations) == 0 {
		return "", nil, errors.New("there is no operation in it")
	}
	var ops []*ledgerv1.Operation
	for i, raw := range file.Operations {
		op, err := parseOperation(raw)
		if err == nil && op.Account != "" {
			err = fmt.Errorf("it names the account %s: in a proposal the members act", op.Account)
		}
		if err != nil {
			return "", nil, fmt.Errorf("operation %d: %w", i, err)
		}
		ops = append(ops, op)
	}
	return file.Title, ops, nil
}
