package client

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// The functions of this file make operations that need more than filling in their fields. In each, account is who acts; it
// is empty in an operation of a proposal.

// AddNode lists a node under its name, org, power and addresses, with its keys and the proofs that whoever calls has them.
// The validator key is the zero key for a node that never votes. It returns [ErrNoKey] for a node key that is not Ed25519.
func AddNode(account string, node *membershipv1.Node, nodeKey, validatorKey keys.PrivateKey) (*ledgerv1.Operation, error) {
	listed := proto.CloneOf(node)
	op := &membershipv1.AddNode{Node: listed}
	var err error
	if listed.NodeKey, op.NodeKeyProof, err = possess(tx.UseNode, node.GetName(), node.GetOrg(), nodeKey); err != nil {
		return nil, err
	}
	if !validatorKey.IsZero() {
		if listed.ValidatorKey, op.ValidatorKeyProof, err = possess(tx.UseValidator, node.GetName(), node.GetOrg(), validatorKey); err != nil {
			return nil, err
		}
	}
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: op}}, nil
}

// RotateNodeKey gives a node of an org another key for its connections. It returns [ErrNoKey] for a key that is not Ed25519.
func RotateNodeKey(account, org, node string, key keys.PrivateKey) (*ledgerv1.Operation, error) {
	op := &membershipv1.RotateNodeKey{Name: node}
	var err error
	if op.NodeKey, op.NodeKeyProof, err = possess(tx.UseNode, node, org, key); err != nil {
		return nil, err
	}
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_NodeRotateKey{NodeRotateKey: op}}, nil
}

// RotateValidatorKey gives a node of an org another key for its votes, or its first one. It returns [ErrNoKey] for a key
// that is not Ed25519.
func RotateValidatorKey(account, org, node string, key keys.PrivateKey) (*ledgerv1.Operation, error) {
	op := &membershipv1.RotateValidatorKey{Name: node}
	var err error
	if op.ValidatorKey, op.ValidatorKeyProof, err = possess(tx.UseValidator, node, org, key); err != nil {
		return nil, err
	}
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_ValidatorRotateKey{ValidatorRotateKey: op}}, nil
}

// possess returns the public key and the proof that its owner has it.
func possess(use tx.Use, node, org string, key keys.PrivateKey) (public, proof []byte, err error) {
	if key.Public().Scheme() != keys.SchemeEd25519 {
		return nil, nil, fmt.Errorf("%w: the %s key of %s must be an ed25519 key", ErrNoKey, use, node)
	}
	if proof, err = tx.ProvePossession(key, use, node, org); err != nil {
		return nil, nil, fmt.Errorf("prove that %s has its %s key: %w", node, use, err)
	}
	return key.Public().Bytes(), proof, nil
}

// SetTokenKeys replaces the keys that sign the tokens of the account name: none closes its reads.
func SetTokenKeys(account, name string, listed ...keys.PublicKey) *ledgerv1.Operation {
	op := &accountsv1.SetTokenKeys{Name: name}
	for _, key := range listed {
		op.TokenKeys = append(op.TokenKeys, &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(key.Scheme()), Key: key.Bytes()})
	}
	slices.SortFunc(op.TokenKeys, func(a, b *keysv1.PublicKey) int {
		return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), bytes.Compare(a.Key, b.Key))
	})
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AccountSetTokenKeys{AccountSetTokenKeys: op}}
}

// Propose puts operations to the vote of the members and votes yes for the account's org. Inside a proposal the members act:
// the accounts of the operations are left out.
func Propose(account, title string, operations ...*ledgerv1.Operation) *ledgerv1.Operation {
	op := &ledgerv1.Propose{Title: title}
	for _, o := range operations {
		inner := proto.CloneOf(o)
		inner.Account = ""
		op.Operations = append(op.Operations, inner)
	}
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_ProposalCreate{ProposalCreate: op}}
}

// Vote casts the vote of the account's org on a proposal, or changes it.
func Vote(account string, proposal uint64, yes bool) *ledgerv1.Operation {
	op := &governancev1.Vote{Proposal: proposal, Yes: yes}
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_ProposalVote{ProposalVote: op}}
}

// Withdraw ends a proposal of the account's org.
func Withdraw(account string, proposal uint64) *ledgerv1.Operation {
	op := &governancev1.Withdraw{Proposal: proposal}
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_ProposalWithdraw{ProposalWithdraw: op}}
}
