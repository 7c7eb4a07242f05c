package governance

import (
	"math"
	"strings"

	"github.com/althing-ledger/althing/app/exec"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Limits of proposals.
const (
	MaxTitle            = 256      // bytes
	MaxNote             = 256      // bytes, of an upgrade
	MaxProposed         = 32       // operations of one proposal
	MaxProposalBytes    = 16 << 10 // a vote rewrites its proposal, so this bounds what a vote costs
	MaxProposalsOfAnOrg = 20       // that are open
	maxMessage          = 500      // bytes
)

// CheckPropose checks what needs no state: BAD_FIELD, TOO_LARGE or UNKNOWN_OPERATION. The checks of the operations that it
// holds are for the caller, who knows them all.
func CheckPropose(op *ledgerv1.Propose) error {
	if err := exec.CheckText("the title", op.GetTitle(), MaxTitle); err != nil {
		return err
	}
	if len(op.GetOperations()) == 0 {
		return badField("the proposal has no operation: put in at least one")
	}
	if len(op.GetOperations()) > MaxProposed {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE, "the proposal has %d operations, at most %d are allowed: split it",
			len(op.GetOperations()), MaxProposed)
	}
	if size := op.SizeVT(); size > MaxProposalBytes {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE, "the proposal has %d bytes, at most %d are allowed: split it",
			size, MaxProposalBytes)
	}
	for i, inner := range op.GetOperations() {
		if inner.GetAccount() != "" {
			return badField("operation %d of the proposal: account is %.70q: leave it empty, the members act", i, inner.Account)
		}
		if inner.GetKind() == nil {
			return tx.Reject(ledgerv1.Code_CODE_UNKNOWN_OPERATION,
				"operation %d of the proposal: there is no operation that this version knows", i)
		}
		if _, ok := ActionOf(inner); !ok {
			return badField("operation %d of the proposal: no vote can decide %s", i, kindName(inner))
		}
	}
	return nil
}

// CheckVote checks what needs no state: BAD_FIELD.
func CheckVote(op *governancev1.Vote) error { return checkProposal(op.GetProposal()) }

// CheckWithdraw checks what needs no state: BAD_FIELD.
func CheckWithdraw(op *governancev1.Withdraw) error { return checkProposal(op.GetProposal()) }

// CheckSetCharter checks what needs no state: BAD_FIELD. Whether the charter holds together with these changes is a result
// of the operation.
func CheckSetCharter(op *governancev1.SetCharter) error {
	if err := checkChanges(op.GetCharter()); err != nil {
		return badField("charter: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// CheckScheduleUpgrade checks what needs no state: BAD_FIELD or TOO_LARGE.
func CheckScheduleUpgrade(op *governancev1.ScheduleUpgrade) error {
	u := op.GetUpgrade()
	switch {
	case u == nil:
		return badField("upgrade is missing: give it a height and a feature_level, or a height of 0 to cancel the one that is planned")
	case u.Height == 0 && (u.FeatureLevel != 0 || u.Note != ""):
		return badField("an upgrade of height 0 cancels the one that is planned: leave feature_level and note out, or give a height")
	case u.Height > math.MaxInt64:
		return badField("the height is %d, which no block will have", u.Height)
	case u.Height > 0 && u.FeatureLevel == 0:
		return badField("feature_level is 0: it is higher than the level in force")
	}
	return exec.CheckText("the note", u.Note, MaxNote)
}

func checkProposal(id uint64) error {
	if id == 0 {
		return badField("proposal is 0: the first one is 1")
	}
	return nil
}

func badField(format string, args ...any) error {
	return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, format, args...)
}

// kindName is the kind of an operation in texts for people: `asset_transfer`.
func kindName(op *ledgerv1.Operation) string {
	m := op.ProtoReflect()
	if kind := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind")); kind != nil {
		return string(kind.Name())
	}
	return "nothing"
}
