package accounts_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// TestTranscripts runs testdata/*.txt; `go test -run Transcripts -rewrite` writes them anew, to be reviewed as a diff.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		w := exectest.New()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return talk(t, w, d) })
	})
}

func talk(t *testing.T, w *exectest.World, d *datadriven.TestData) string {
	t.Helper()
	as, name := exectest.Arg(d, "as"), exectest.Arg(d, "name")
	threshold := uint32(exectest.Number(t, d, "threshold"))
	do := func(check error, run func(*exec.Env, accounts.Store) error) string {
		return w.Text(w.Do(t, as, check, func(env *exec.Env, kv exec.KV) error { return run(env, accounts.Open(kv)) }))
	}
	switch d.Cmd {
	case "genesis":
		return w.Genesis(t, d.Input)
	case "create":
		op := &accountsv1.Create{Name: name, Keys: weighted(t, w, d, "keys"), Threshold: threshold, Roles: exectest.Args(d, "roles")}
		return do(accounts.CheckCreate(op), func(env *exec.Env, s accounts.Store) error { return accounts.Create(env, s, op) })
	case "set-roles":
		op := &accountsv1.SetRoles{Name: name, Roles: exectest.Args(d, "roles")}
		return do(accounts.CheckSetRoles(op), func(env *exec.Env, s accounts.Store) error { return accounts.SetRoles(env, s, op) })
	case "add-key":
		op := &accountsv1.AddKey{Name: name, Key: weighted(t, w, d, "key")[0], Threshold: threshold}
		return do(accounts.CheckAddKey(op), func(env *exec.Env, s accounts.Store) error { return accounts.AddKey(env, s, op) })
	case "revoke-key":
		op := &accountsv1.RevokeKey{Name: name, PublicKey: w.Key(t, exectest.Arg(d, "key")), Threshold: threshold}
		return do(accounts.CheckRevokeKey(op), func(env *exec.Env, s accounts.Store) error { return accounts.RevokeKey(env, s, op) })
	case "rotate-key":
		op := &accountsv1.RotateKey{Name: name, OldKey: w.Key(t, exectest.Arg(d, "old")), NewKey: w.Key(t, exectest.Arg(d, "new"))}
		return do(accounts.CheckRotateKey(op), func(env *exec.Env, s accounts.Store) error { return accounts.RotateKey(env, s, op) })
	case "set-token-keys":
		op := &accountsv1.SetTokenKeys{Name: name, TokenKeys: keyList(t, w, d, "keys")}
		return do(accounts.CheckSetTokenKeys(op), func(env *exec.Env, s accounts.Store) error { return accounts.SetTokenKeys(env, s, op) })
	case "admit":
		op := &accountsv1.AdmitOrg{Name: name, Allotment: allotment(t, d)}
		for line := range strings.Lines(d.Input) {
			fields := strings.Fields(line)
			op.Accounts = append(op.Accounts, &accountsv1.Create{
				Name: fields[0], Keys: []*accountsv1.WeightedKey{{PublicKey: w.Key(t, fields[0]), Weight: 1}},
				Threshold: max(1, threshold), Roles: fields[1:],
			})
		}
		return do(accounts.CheckAdmitOrg(op), func(env *exec.Env, s accounts.Store) error {
			return accounts.AdmitOrg(env, s, &accountsv1.Allotment{Power: 10, Nodes: 4}, op)
		})
	case "suspend":
		op := &accountsv1.SuspendOrg{Name: name, Reason: exectest.Arg(d, "reason")}
		return do(accounts.CheckSuspendOrg(op), func(env *exec.Env, s accounts.Store) error { return accounts.SuspendOrg(env, s, op) })
	case "resume":
		op := &accountsv1.ResumeOrg{Name: name, Reason: exectest.Arg(d, "reason")}
		return do(accounts.CheckResumeOrg(op), func(env *exec.Env, s accounts.Store) error { return accounts.ResumeOrg(env, s, op) })
	case "remove":
		op := &accountsv1.RemoveOrg{Name: name, Reason: exectest.Arg(d, "reason")}
		return do(accounts.CheckRemoveOrg(op), func(env *exec.Env, s accounts.Store) error { return accounts.RemoveOrg(env, s, op) })
	case "set-allotment":
		op := &accountsv1.SetAllotment{Name: name, Allotment: allotment(t, d)}
		return do(accounts.CheckSetAllotment(op), func(env *exec.Env, s accounts.Store) error { return accounts.SetAllotment(env, s, op) })
	case "examine":
		found, err := accounts.Examine(w.State)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(append(found, w.Leaves(t, keyspace.PrefixOrgCount, w.Messages(new(accountsv1.OrgCount)))), "\n")
	case "sign":
		return sign(t, w, d)
	case "accounts":
		return w.Leaves(t, keyspace.PrefixAccounts, w.Messages(new(accountsv1.Account)))
	case "orgs":
		return w.Leaves(t, keyspace.PrefixOrgs, w.Messages(new(accountsv1.Org)))
	}
	t.Fatalf("unknown command %q", d.Cmd)
	return ""
}

// sign asks whether signatures, one a line as `ACCOUNT KEY...`, authorise a transaction of those accounts.
func sign(t *testing.T, w *exectest.World, d *datadriven.TestData) string {
	t.Helper()
	transaction := new(tx.Tx)
	for line := range strings.Lines(d.Input) {
		fields := strings.Fields(line)
		transaction.Signers = append(transaction.Signers, fields[0])
		for _, name := range fields[1:] {
			key := w.Key(t, name)
			transaction.Signatures = append(transaction.Signatures,
				&ledgerv1.Signature{Account: fields[0], PublicKey: key.Key, Scheme: key.Scheme})
		}
	}
	if err := accounts.Authorize(accounts.Read(w.State), transaction); err != nil {
		code, ok := tx.CodeOf(err)
		if !ok || code >= 100 {
			t.Fatalf("%v (%v)", err, code)
		}
		return fmt.Sprintf("refused %s: %v", tx.Reason(code), err)
	}
	return "authorised"
}

// allotment reads `power` and `nodes`, nil if neither is given.
func allotment(t *testing.T, d *datadriven.TestData) *accountsv1.Allotment {
	t.Helper()
	if !d.HasArg("power") && !d.HasArg("nodes") {
		return nil
	}
	return &accountsv1.Allotment{Power: exectest.Number(t, d, "power"), Nodes: uint32(exectest.Number(t, d, "nodes"))}
}

func keyList(t *testing.T, w *exectest.World, d *datadriven.TestData, arg string) []*keysv1.PublicKey {
	t.Helper()
	var list []*keysv1.PublicKey
	for _, key := range weighted(t, w, d, arg) {
		list = append(list, key.PublicKey)
	}
	return list
}

// weighted reads `NAME` or `NAME*WEIGHT`; the key `bad` is none.
func weighted(t *testing.T, w *exectest.World, d *datadriven.TestData, arg string) []*accountsv1.WeightedKey {
	t.Helper()
	var list []*accountsv1.WeightedKey
	for _, text := range exectest.Args(d, arg) {
		name, weight, given := strings.Cut(text, "*")
		key := &accountsv1.WeightedKey{PublicKey: w.Key(t, name), Weight: 1}
		if name == "bad" {
			key.PublicKey = &keysv1.PublicKey{Scheme: keysv1.SignatureScheme_SIGNATURE_SCHEME_SCHNORR, Key: make([]byte, 31)}
		}
		if given {
			n, err := strconv.ParseUint(weight, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			key.Weight = uint32(n)
		}
		list = append(list, key)
	}
	return list
}
