package governance_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/althing-ledger/althing/app/governance"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

func TestSizesOfProposals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		op   *ledgerv1.Propose
		want ledgerv1.Code
	}{
		"title":      {&ledgerv1.Propose{Title: strings.Repeat("ü", 128), Operations: many(1, "")}, ledgerv1.Code_CODE_OK},
		"long title": {&ledgerv1.Propose{Title: strings.Repeat("ü", 128) + "u", Operations: many(1, "")}, ledgerv1.Code_CODE_TOO_LARGE},
		"no UTF-8":   {&ledgerv1.Propose{Title: "\xff", Operations: many(1, "")}, ledgerv1.Code_CODE_BAD_FIELD},
		"32":         {&ledgerv1.Propose{Operations: many(32, "")}, ledgerv1.Code_CODE_OK},
		"33":         {&ledgerv1.Propose{Operations: many(33, "")}, ledgerv1.Code_CODE_TOO_LARGE},
		"16 KiB":     {&ledgerv1.Propose{Operations: many(1, strings.Repeat("r", 16<<10-16))}, ledgerv1.Code_CODE_OK},
		"more":       {&ledgerv1.Propose{Operations: many(1, strings.Repeat("r", 16<<10-15))}, ledgerv1.Code_CODE_TOO_LARGE},
	} {
		if err := governance.CheckPropose(test.op); !isCode(err, test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if size := (&ledgerv1.Propose{Operations: many(1, strings.Repeat("r", 16<<10-16))}).SizeVT(); size != governance.MaxProposalBytes {
		t.Errorf("the edge of this test is at %d bytes", size)
	}
	note := func(n int) error {
		return governance.CheckScheduleUpgrade(&governancev1.ScheduleUpgrade{
			Upgrade: &governancev1.Upgrade{Height: 9, FeatureLevel: 2, Note: strings.Repeat("n", n)},
		})
	}
	if err := note(256); err != nil {
		t.Error(err)
	}
	if err := note(257); !isCode(err, ledgerv1.Code_CODE_TOO_LARGE) {
		t.Error(err)
	}
}

func many(n int, reason string) (list []*ledgerv1.Operation) {
	for range n {
		list = append(list, &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgSuspend{
			OrgSuspend: &accountsv1.SuspendOrg{Name: "acme", Reason: reason},
		}})
	}
	return list
}

// TestEveryOperationHasAnActionOrNone fails for a kind of operation that nobody has thought about.
func TestEveryOperationHasAnActionOrNone(t *testing.T) {
	t.Parallel()
	want := map[protoreflect.Name]governancev1.Action{
		"account_create": governancev1.Action_ACTION_ACCOUNTS, "account_set_roles": governancev1.Action_ACTION_ACCOUNTS,
		"account_add_key": governancev1.Action_ACTION_ACCOUNTS, "account_revoke_key": governancev1.Action_ACTION_ACCOUNTS,
		"account_rotate_key": governancev1.Action_ACTION_ACCOUNTS, "account_set_token_keys": governancev1.Action_ACTION_ACCOUNTS,
		"node_add": governancev1.Action_ACTION_NODES, "node_remove": governancev1.Action_ACTION_NODES,
		"node_set_addresses": governancev1.Action_ACTION_NODES, "node_set_power": governancev1.Action_ACTION_NODES,
		"node_rotate_key": governancev1.Action_ACTION_NODES, "validator_rotate_key": governancev1.Action_ACTION_NODES,
		"org_set_allotment": governancev1.Action_ACTION_NODES,
		"charter_set":       governancev1.Action_ACTION_CHARTER, "upgrade_schedule": governancev1.Action_ACTION_UPGRADE,
		"org_admit": governancev1.Action_ACTION_ADMIT_ORG, "org_remove": governancev1.Action_ACTION_REMOVE_ORG,
		"org_suspend": governancev1.Action_ACTION_SUSPEND_ORG, "org_resume": governancev1.Action_ACTION_SUSPEND_ORG,
	}
	alone := map[protoreflect.Name]bool{
		"asset_create": true, "asset_mint": true, "asset_burn": true, "asset_transfer": true, "asset_set_frozen": true,
		"asset_open_hold": true, "asset_release_hold": true, "asset_cancel_hold": true, "record_set_collection": true,
		"record_put": true, "proposal_create": true, "proposal_vote": true, "proposal_withdraw": true,
	}
	kinds := (&ledgerv1.Operation{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range kinds.Len() {
		kind := kinds.Get(i)
		op := new(ledgerv1.Operation)
		op.ProtoReflect().Set(kind, op.ProtoReflect().NewField(kind))
		action, ok := governance.ActionOf(op)
		if wanted, listed := want[kind.Name()]; ok != listed || action != wanted || ok == alone[kind.Name()] {
			t.Errorf("%s: %s, %v", kind.Name(), action, ok)
		}
	}
	if action, ok := governance.ActionOf(nil); ok {
		t.Error(action)
	}
}

// FuzzChecks holds that no bytes make a check fail with anything but a code of validity.
func FuzzChecks(f *testing.F) {
	for _, op := range []*ledgerv1.Operation{
		{Kind: &ledgerv1.Operation_ProposalCreate{ProposalCreate: &ledgerv1.Propose{Title: "t", Operations: many(2, "r")}}},
		{Kind: &ledgerv1.Operation_ProposalVote{ProposalVote: &governancev1.Vote{Proposal: 1}}},
		{Kind: &ledgerv1.Operation_ProposalWithdraw{ProposalWithdraw: &governancev1.Withdraw{Proposal: 1}}},
		setCharter(governance.WithDefaults(&governancev1.Charter{ReadRoles: []string{"auditor"}, Rules: rule(1, 2, "acme")})),
		{Kind: &ledgerv1.Operation_UpgradeSchedule{UpgradeSchedule: &governancev1.ScheduleUpgrade{Upgrade: &governancev1.Upgrade{Height: 1}}}},
	} {
		b, err := op.MarshalVTStrict()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		op := new(ledgerv1.Operation)
		if op.UnmarshalVT(b) != nil {
			return
		}
		for _, err := range []error{
			governance.CheckPropose(&ledgerv1.Propose{Operations: []*ledgerv1.Operation{op}}),
			governance.CheckPropose(op.GetProposalCreate()),
			governance.CheckVote(op.GetProposalVote()),
			governance.CheckWithdraw(op.GetProposalWithdraw()),
			governance.CheckSetCharter(op.GetCharterSet()),
			governance.CheckScheduleUpgrade(op.GetUpgradeSchedule()),
		} {
			if code, ok := tx.CodeOf(err); !ok || code >= 100 {
				t.Errorf("%v (%v)", err, code)
			}
		}
		// Changes that pass can be made, or be refused as a whole.
		if changes := op.GetCharterSet().GetCharter(); changes != nil && governance.CheckSetCharter(op.GetCharterSet()) == nil {
			merged := governance.Merge(governance.Defaults(), changes)
			if err := governance.Validate(merged); err == nil {
				if _, err := merged.MarshalVTStrict(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
