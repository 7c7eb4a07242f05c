package app

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// foresee refuses a transaction that would cost the network its quorum if the next block applied it, so that its sender
// hears of it at once. What it says is true for the newest state only; execution decides.
func (a *App) foresee(view *state.View, t *tx.Tx) error {
	if !mayCostQuorum(t) {
		return nil
	}
	b, err := a.next(view)
	if err != nil {
		return err
	}
	o := outcome{TxOutcome: &ledgerv1.TxOutcome{FailedOperation: -1}}
	b.running = t
	err = a.guarded(b, func() error { return b.execute(state.NewOverlay(b.kv), t, &o) })
	switch {
	case errors.Is(err, errInvalidProposal):
		return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "this version cannot look at the transaction: %v", err)
	case err == nil && o.Code == ledgerv1.Code_CODE_QUORUM_LOST:
		return tx.Reject(o.Code, "%s", o.Message)
	}
	return err
}

func mayCostQuorum(t *tx.Tx) bool {
	for _, op := range t.Body.Operations {
		switch op.Kind.(type) {
		case *ledgerv1.Operation_NodeAdd, *ledgerv1.Operation_NodeRemove, *ledgerv1.Operation_NodeSetPower, *ledgerv1.Operation_ProposalCreate:
			return true
		}
	}
	return false
}

// next opens a block on a view that is only thought about. It borrows the view.
func (a *App) next(view *state.View) (*block, error) {
	kv, err := a.newest(view)
	if err != nil {
		return nil, err
	}
	at := a.genesis.Time()
	if view.Height() > 0 {
		at = view.BlockTime()
	}
	return &block{view: view, kv: kv, height: view.Height() + 1, time: at.UnixNano(), rules: a.rules.Load()}, nil
}

// Preview says what a proposal would change if it were applied to a view now, and why it would be refused: a [tx.Rejection],
// or nil. The last error is a failure.
func (a *App) Preview(view *state.View, p *proposalsv1.Proposal) (changes []*proposalsv1.Line, refused, err error) {
	b, err := a.next(view)
	if err != nil {
		return nil, nil, err
	}
	err = a.guarded(b, func() error {
		env := exec.Env{FeatureLevel: b.rules.level, Height: b.height, Time: b.time, Proposal: p.Id, Emit: func(*ledgerv1.Event) {}}
		for i, op := range p.Operations {
			before, err := subjectsOf(b.kv, op)
			if err != nil {
				return err
			}
			if _, err := deliver(&env, b.kv, op); err != nil {
				if _, rejected := tx.CodeOf(err); !rejected {
					return err
				}
				refused = fmt.Errorf("operation %d: %w", i, err)
				return nil
			}
			after, err := subjectsOf(b.kv, op)
			if err != nil {
				return err
			}
			for s := range after {
				changes = append(changes, differences(uint32(i), before[s], after[s])...)
			}
		}
		return nil
	})
	return changes, refused, err
}

// subject is a thing that an operation changes: nil where there is none.
type subject struct {
	name    string
	message protoreflect.Message
}

// subjectsOf returns what an operation of a proposal is about as it stands in a state, the same things in the same order
// before and after.
func subjectsOf(kv exec.Reader, op *ledgerv1.Operation) ([]subject, error) {
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_NodeAdd:
		return nodeSubject(kv, k.NodeAdd.GetNode().GetName())
	case *ledgerv1.Operation_NodeRemove:
		return nodeSubject(kv, k.NodeRemove.Name)
	case *ledgerv1.Operation_NodeSetAddresses:
		return nodeSubject(kv, k.NodeSetAddresses.Name)
	case *ledgerv1.Operation_NodeSetPower:
		return nodeSubject(kv, k.NodeSetPower.Name)
	case *ledgerv1.Operation_NodeRotateKey:
		return nodeSubject(kv, k.NodeRotateKey.Name)
	case *ledgerv1.Operation_ValidatorRotateKey:
		return nodeSubject(kv, k.ValidatorRotateKey.Name)

	case *ledgerv1.Operation_OrgAdmit:
		subjects, err := orgSubject(kv, k.OrgAdmit.Name)
		for _, account := range k.OrgAdmit.Accounts {
			if err != nil {
				return nil, err
			}
			var more []subject
			more, err = accountSubject(kv, account.Name)
			subjects = append(subjects, more...)
		}
		return subjects, err
	case *ledgerv1.Operation_OrgSuspend:
		return orgSubject(kv, k.OrgSuspend.Name)
	case *ledgerv1.Operation_OrgResume:
		return orgSubject(kv, k.OrgResume.Name)
	case *ledgerv1.Operation_OrgRemove:
		return orgSubject(kv, k.OrgRemove.Name)
	case *ledgerv1.Operation_OrgSetAllotment:
		return orgSubject(kv, k.OrgSetAllotment.Name)

	case *ledgerv1.Operation_AccountCreate:
		return accountSubject(kv, k.AccountCreate.Name)
	case *ledgerv1.Operation_AccountSetRoles:
		return accountSubject(kv, k.AccountSetRoles.Name)
	case *ledgerv1.Operation_AccountAddKey:
		return accountSubject(kv, k.AccountAddKey.Name)
	case *ledgerv1.Operation_AccountRevokeKey:
		return accountSubject(kv, k.AccountRevokeKey.Name)
	case *ledgerv1.Operation_AccountRotateKey:
		return accountSubject(kv, k.AccountRotateKey.Name)
	case *ledgerv1.Operation_AccountSetTokenKeys:
		return accountSubject(kv, k.AccountSetTokenKeys.Name)

	case *ledgerv1.Operation_CharterSet:
		charter, err := governance.Read(kv).Charter()
		return []subject{{"charter", charter.ProtoReflect()}}, err
	case *ledgerv1.Operation_UpgradeSchedule:
		upgrade, err := governance.Read(kv).Upgrade()
		return []subject{{"upgrade", upgrade.ProtoReflect()}}, err
	}
	return nil, nil
}

func nodeSubject(kv exec.Reader, name string) ([]subject, error) {
	node, err := membership.Read(kv).Node(name)
	return []subject{{"node " + name, node.ProtoReflect()}}, err
}

func orgSubject(kv exec.Reader, name string) ([]subject, error) {
	org, err := accounts.Read(kv).Org(name)
	return []subject{{"org " + name, org.ProtoReflect()}}, err
}

func accountSubject(kv exec.Reader, name string) ([]subject, error) {
	account, err := accounts.Read(kv).Account(name)
	return []subject{{"account " + name, account.ProtoReflect()}}, err
}

// differences compares a subject before and after, property by property.
func differences(operation uint32, before, after subject) []*proposalsv1.Line {
	var lines []*proposalsv1.Line
	fields := after.message.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		was, is := propertyText(before.message, f), propertyText(after.message, f)
		if was != is {
			lines = append(lines, &proposalsv1.Line{
				Operation: operation, Subject: after.name, Property: string(f.Name()), Before: was, After: is,
			})
		}
	}
	return lines
}

// propertyText is the value of a field for people, empty when it is not set.
func propertyText(m protoreflect.Message, f protoreflect.FieldDescriptor) string {
	if !m.IsValid() || !m.Has(f) {
		return ""
	}
	if !f.IsList() {
		return valueText(f, m.Get(f))
	}
	var items []string
	for i := range m.Get(f).List().Len() {
		items = append(items, valueText(f, m.Get(f).List().Get(i)))
	}
	return strings.Join(items, ", ")
}

func valueText(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.BytesKind:
		return hex.EncodeToString(bytes.Clone(v.Bytes()))
	case protoreflect.EnumKind:
		value := f.Enum().Values().ByNumber(v.Enum())
		if value == nil {
			return strconv.Itoa(int(v.Enum()))
		}
		prefix := enumPrefix(f.Enum())
		return strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix))
	case protoreflect.MessageKind:
		var parts []string
		fields := v.Message().Descriptor().Fields()
		for i := range fields.Len() {
			if text := propertyText(v.Message(), fields.Get(i)); text != "" {
				parts = append(parts, string(fields.Get(i).Name())+" "+text)
			}
		}
		return strings.Join(parts, " ")
	}
	if strings.HasSuffix(string(f.Name()), "_until") && f.Kind() == protoreflect.Int64Kind {
		return time.Unix(0, v.Int()).UTC().Format(time.RFC3339)
	}
	return v.String()
}

// enumPrefix is what the names of an enum's values begin with: `ORG_STATUS_`, from the value that stands for none.
func enumPrefix(e protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(e.Values().ByNumber(0).Name()), "UNSPECIFIED")
}
