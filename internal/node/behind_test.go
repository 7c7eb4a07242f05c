package node_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestNodeThatIsBehindDoesNotJudge asks a node that has been cut off to take what it would refuse by the ledger that it
// knows. It says that it is behind, and the client goes to another one.
func TestNodeThatIsBehindDoesNotJudge(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, nil, nil)
	n.startAll()
	n.must(n.nodes[0], createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	behind := n.nodes[3]
	n.must(n.nodes[0], client.Propose("acme/admin", "a test", &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgSuspend{
		OrgSuspend: &accountsv1.SuspendOrg{Name: "umbrella", Reason: "a test"},
	}}))
	for _, account := range []string{"globex/admin", "initech/admin"} {
		n.must(n.nodes[0], client.Vote(account, 1, true))
	}
	eventually(t, behind.name+" is cut off", func(ctx context.Context) error {
		status, err := behind.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
		if err == nil && (status.Ready || len(status.Peers) > 0) {
			err = errNotYet
		}
		return err
	})
	old, err := n.files.File.Keys("acme/treasury")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	public := func(k keys.PrivateKey) *keysv1.PublicKey {
		return &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(k.Public().Scheme()), Key: k.Public().Bytes()}
	}
	rotated := n.must(n.nodes[0], &ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_AccountRotateKey{
		AccountRotateKey: &accountsv1.RotateKey{Name: "acme/treasury", OldKey: public(old[0]), NewKey: public(fresh)},
	}})
	n.sameStateOf(n.nodes[:3], rotated.Height)

	raw, _, err := sign(n.files.File.ChainID, "acme/treasury", fresh, transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := behind.ledger().Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw, Wait: true}); status.Code(err) != codes.Unavailable {
		t.Errorf("%s says %v, want that it is not ready", behind.name, err)
	}
	file := *n.files.File
	file.Nodes = slices.Clone(file.Nodes)
	slices.Reverse(file.Nodes)
	through, err := client.Dial(&file, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = through.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if result, err := through.SubmitAndWait(ctx, raw); err != nil || !result.OK() {
		t.Errorf("the payment became %+v, %v", result, err)
	}
}
