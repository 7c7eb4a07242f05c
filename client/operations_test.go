package client_test

import (
	"errors"
	"testing"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	"github.com/althing-ledger/althing/keys"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// TestPossession builds the operations that need proofs: they fit the node, its org and the use, and nothing else.
func TestPossession(t *testing.T) {
	t.Parallel()
	node, validator := newKey(t, keys.SchemeEd25519), newKey(t, keys.SchemeEd25519)
	given := &membershipv1.Node{Name: "acme-2", Org: "acme", Power: 10, Addresses: []string{"acme.example:26656"}}
	op, err := client.AddNode("acme/admin", given, node, validator)
	if err != nil {
		t.Fatal(err)
	}
	add := op.GetNodeAdd()
	if op.Account != "acme/admin" || add.Node.Power != 10 || len(given.NodeKey) != 0 {
		t.Errorf("built %v from %v", op, given)
	}
	check := func(key keys.PrivateKey, got, proof []byte, use tx.Use) {
		t.Helper()
		if string(got) != string(key.Public().Bytes()) {
			t.Errorf("the %s key is %x", use, got)
		}
		if err := tx.CheckPossession(got, proof, use, "acme-2", "acme"); err != nil {
			t.Error(err)
		}
		if tx.CheckPossession(got, proof, use, "acme-3", "acme") == nil || tx.CheckPossession(got, proof, use, "acme-2", "globex") == nil {
			t.Errorf("the proof of the %s key fits others too", use)
		}
	}
	check(node, add.Node.NodeKey, add.NodeKeyProof, tx.UseNode)
	check(validator, add.Node.ValidatorKey, add.ValidatorKeyProof, tx.UseValidator)
	if op, err = client.AddNode("", given, node, keys.PrivateKey{}); err != nil || len(op.GetNodeAdd().Node.ValidatorKey) != 0 || op.GetNodeAdd().ValidatorKeyProof != nil {
		t.Errorf("an observer: %v %v", op, err)
	}
	if op, err = client.RotateNodeKey("acme/admin", "acme", "acme-2", node); err != nil {
		t.Fatal(err)
	}
	check(node, op.GetNodeRotateKey().NodeKey, op.GetNodeRotateKey().NodeKeyProof, tx.UseNode)
	if op, err = client.RotateValidatorKey("acme/admin", "acme", "acme-2", validator); err != nil {
		t.Fatal(err)
	}
	check(validator, op.GetValidatorRotateKey().ValidatorKey, op.GetValidatorRotateKey().ValidatorKeyProof, tx.UseValidator)
	for _, wrong := range []keys.PrivateKey{{}, newKey(t, keys.SchemeSchnorr)} {
		if _, err := client.RotateNodeKey("acme/admin", "acme", "acme-2", wrong); !errors.Is(err, client.ErrNoKey) {
			t.Errorf("with %v: %v", wrong, err)
		}
	}
}

// TestProposals proposes, votes and reads: three of four orgs change the charter, and a withdrawn proposal changes nothing.
func TestProposals(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	c := n.Dial(t, client.Config{})
	send := func(account string, op *ledgerv1.Operation) *client.Result {
		t.Helper()
		result, err := c.Send(t.Context(), client.Draft{Operations: []*ledgerv1.Operation{op}}, n.Signer(t, account))
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	charter := &ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_CharterSet{
		CharterSet: &governancev1.SetCharter{Charter: &governancev1.Charter{BlockIntervalMs: 500}},
	}}
	for id := range uint64(2) {
		events, err := send("acme/admin", client.Propose("acme/admin", "slower", charter)).Events()
		if err != nil || len(events) != 1 || events[0].GetProposed().GetProposal() != id+1 {
			t.Fatalf("proposed: %v %v", events, err)
		}
	}
	if charter.Account != "acme/admin" {
		t.Error("the operation that was given is changed")
	}
	if result := send("acme/admin", client.Withdraw("acme/admin", 2)); !result.OK() {
		t.Errorf("withdrawn: %v", result.Outcome)
	}
	send("globex/admin", client.Vote("globex/admin", 1, false))
	send("initech/admin", client.Vote("initech/admin", 1, true))
	status := func(id uint64) governancev1.ProposalStatus {
		t.Helper()
		got, err := c.Proposals().GetProposal(t.Context(), &proposalsv1.GetProposalRequest{Id: id})
		if err != nil {
			t.Fatal(err)
		}
		return got.Status
	}
	if got := status(1); got != governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN {
		t.Errorf("with two of four: %v", got)
	}
	send("umbrella/admin", client.Vote("umbrella/admin", 1, true))
	if got := status(1); got != governancev1.ProposalStatus_PROPOSAL_STATUS_EXECUTED {
		t.Errorf("with three of four: %v", got)
	}
	if got := status(2); got != governancev1.ProposalStatus_PROPOSAL_STATUS_WITHDRAWN {
		t.Errorf("withdrawn: %v", got)
	}
	if result := send("umbrella/admin", client.Vote("umbrella/admin", 2, true)); result.Outcome.Code != ledgerv1.Code_CODE_NOT_OPEN {
		t.Errorf("a vote on what is withdrawn: %v", result.Outcome)
	}
	got, err := c.Governance().GetCharter(t.Context(), &governancev1.GetCharterRequest{})
	if err != nil || got.Charter.BlockIntervalMs != 500 || got.Charter.MaxOperations != 100 {
		t.Errorf("the charter is %v: %v", got, err)
	}
	list, err := c.Proposals().ListProposals(t.Context(), &proposalsv1.ListProposalsRequest{})
	if err != nil || len(list.Proposals) != 2 || list.Proposals[0].Id != 2 {
		t.Errorf("the list: %v %v", list, err)
	}
}
