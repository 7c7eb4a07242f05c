package grpcapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/token"
)

const (
	// maxVerified bounds how many tokens are remembered as verified; the ones used longest ago are verified again.
	maxVerified = 10_000

	// verifiesAtOnce bounds how many tokens are verified at a time, so that strangers leave processors to the blocks.
	verifiesAtOnce = 4
)

// Reasons of errors that refuse a read.
const (
	reasonTokenRequired = "TOKEN_REQUIRED"
	reasonTokenInvalid  = "TOKEN_INVALID"
	reasonTokenExpired  = "TOKEN_EXPIRED"
	reasonForbidden     = "FORBIDDEN"
)

// deniedError refuses a read: UNAUTHENTICATED, or PERMISSION_DENIED where the reason is FORBIDDEN.
type deniedError struct {
	reason, text string
	longest      uint64 // seconds that a token may live
}

func (e *deniedError) Error() string { return e.text }

// access keeps reads to members where the charter says so. It is asked before every call that reads, and again for every
// block that a watch sends.
type access struct {
	app     *app.App
	charter func() *governancev1.Charter // the one in force
	now     func() time.Time

	verified *lru.Cache[[sha256.Size]byte, verifiedToken]
	turns    chan struct{} // holds one token for each verification under way
}

// verifiedToken is a token whose signature is right, and the key it was made with. Whether the ledger lists that key, and
// all else that changes, is asked every time.
type verifiedToken struct {
	*token.Token
	key *keysv1.PublicKey
}

func newAccess(a *app.App, now func() time.Time) (*access, error) {
	verified, err := lru.New[[sha256.Size]byte, verifiedToken](maxVerified)
	if err != nil {
		return nil, err
	}
	return &access{app: a, charter: a.Charter, now: now, verified: verified, turns: make(chan struct{}, verifiesAtOnce)}, nil
}

// readsLedger reports whether a method answers with something of the ledger. Submitting does not: a transaction carries its
// own signatures, and its outcome is told to whoever has it. The status decides for itself what strangers are told. What is
// not named here reads, so that a new service is closed until somebody has thought about it.
func readsLedger(method string) bool {
	switch method {
	case ledgerv1.LedgerService_Submit_FullMethodName, ledgerv1.LedgerService_SubmitStream_FullMethodName,
		ledgerv1.LedgerService_GetStatus_FullMethodName:
		return false
	}
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	switch service {
	case healthv1.Health_ServiceDesc.ServiceName, reflectionv1.ServerReflection_ServiceDesc.ServiceName,
		reflectionv1alpha.ServerReflection_ServiceDesc.ServiceName:
		return false
	}
	return true
}

func (a *access) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if readsLedger(info.FullMethod) {
		if _, err := a.check(ctx); err != nil {
			return nil, toStatus(err)
		}
	}
	return handler(ctx, req)
}

func (a *access) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if readsLedger(info.FullMethod) {
		if _, err := a.check(stream.Context()); err != nil {
			return toStatus(err)
		}
	}
	return handler(srv, stream)
}

// check says whether the caller may read now, by the newest state, and when its token ends: never, the zero time, where
// reads are open. The error is a deniedError, [ErrNotReady] before the first block, or a failure.
func (a *access) check(ctx context.Context) (until time.Time, err error) {
	charter := a.charter()
	if charter.GetReadAccess() != governancev1.ReadAccess_READ_ACCESS_MEMBERS {
		return time.Time{}, nil
	}
	until, err = a.admit(ctx, charter)
	var denied *deniedError
	if errors.As(err, &denied) {
		denied.longest = charter.GetMaxTokenSeconds()
	}
	return until, err
}

// stranger says whether reads are closed to the caller, who may submit all the same. The error is a failure.
func (a *access) stranger(ctx context.Context) (bool, error) {
	_, err := a.check(ctx)
	var denied *deniedError
	if errors.As(err, &denied) || errors.Is(err, ErrNotReady) {
		return true, nil
	}
	return false, err
}

func (a *access) admit(ctx context.Context, charter *governancev1.Charter) (time.Time, error) {
	text, err := bearer(ctx)
	if err != nil {
		return time.Time{}, err
	}
	hash := sha256.Sum256([]byte(text))
	known, seen := a.verified.Get(hash)
	if !seen {
		if known.Token, err = token.Parse(text); err != nil {
			return time.Time{}, badToken(err)
		}
	}
	longest := time.Duration(charter.GetMaxTokenSeconds()) * time.Second
	if err := known.Check(a.app.Genesis().ChainID, a.now(), longest); err != nil {
		a.verified.Remove(hash)
		return time.Time{}, badToken(err)
	}
	account, org, err := a.lookUp(known.Account)
	if err != nil {
		return time.Time{}, err
	}
	if seen {
		seen = slices.ContainsFunc(account.GetTokenKeys(), func(k *keysv1.PublicKey) bool { return sameKey(k, known.key) })
	} else if known.key, err = a.signer(ctx, known.Token, account); err == nil && known.key != nil {
		seen = true
		a.verified.Add(hash, known)
	}
	if err != nil {
		return time.Time{}, err
	}
	if !seen {
		// Whether there is such an account is not for strangers to know: the words are the same.
		return time.Time{}, &deniedError{reason: reasonTokenInvalid, text: fmt.Sprintf(
			"the token is not signed with a token key that the ledger lists for %s: register the key, or sign with one that is", known.Account)}
	}
	return known.ExpiresAt, mayRead(charter, org, account)
}

// bearer takes the token from the metadata of a call: `authorization: Bearer TOKEN` (RFC 6750, 2.1).
func bearer(ctx context.Context) (string, error) {
	headers, _ := metadata.FromIncomingContext(ctx)
	values := headers.Get("authorization")
	if len(values) == 0 {
		return "", &deniedError{reason: reasonTokenRequired, text: "reads of this network are for its members: " +
			"send a token that is signed with a token key of an account, as `authorization: Bearer TOKEN`"}
	}
	scheme, text, found := strings.Cut(values[0], " ")
	if len(values) > 1 || !found || !strings.EqualFold(scheme, "Bearer") {
		return "", &deniedError{reason: reasonTokenInvalid, text: "the metadata of the call must have one authorization: `Bearer TOKEN`"}
	}
	return strings.TrimLeft(text, " "), nil
}

// badToken says why a token is refused whatever the ledger says.
func badToken(err error) error {
	if errors.Is(err, token.ErrExpired) {
		return &deniedError{reason: reasonTokenExpired, text: err.Error()}
	}
	return &deniedError{reason: reasonTokenInvalid, text: err.Error()}
}

// lookUp reads an account and its org from the newest state; both are nil where there is no such account.
func (a *access) lookUp(name string) (*accountsv1.Account, *accountsv1.Org, error) {
	view, err := a.app.View(0)
	if err != nil {
		return nil, nil, err
	}
	defer view.Release()
	if view.Height() == 0 {
		return nil, nil, ErrNotReady
	}
	reader := accounts.Read(view)
	account, err := reader.Account(name)
	if err != nil || account == nil {
		return nil, nil, err
	}
	of, err := names.Account(name)
	if err != nil {
		return nil, nil, err
	}
	org, err := reader.Org(of)
	return account, org, err
}

// signer returns the token key of the account that signed the token, nil if none did. Verifications wait for their turn.
func (a *access) signer(ctx context.Context, t *token.Token, account *accountsv1.Account) (*keysv1.PublicKey, error) {
	if len(account.GetTokenKeys()) == 0 {
		return nil, nil
	}
	select {
	case a.turns <- struct{}{}:
		defer func() { <-a.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for _, listed := range account.TokenKeys {
		key, err := keys.ParsePublicKey(keys.Scheme(listed.Scheme), listed.Key)
		if err != nil {
			return nil, fmt.Errorf("a token key of %s: %w", account.Name, err)
		}
		if t.Verify(key) == nil {
			return listed, nil
		}
	}
	return nil, nil
}

// mayRead says whether an account of an org may read where reads are for members: the org is active, and the account holds
// one of the charter's roles for readers, if there are any, or is an admin.
func mayRead(charter *governancev1.Charter, org *accountsv1.Org, account *accountsv1.Account) error {
	if org.GetStatus() != accountsv1.OrgStatus_ORG_STATUS_ACTIVE {
		return &deniedError{reason: reasonForbidden, text: fmt.Sprintf(
			"%s may not read: its org is not an active member of the network", account.GetName())}
	}
	roles := charter.GetReadRoles()
	holds := func(role string) bool { return role == accounts.RoleAdmin || slices.Contains(roles, role) }
	if len(roles) == 0 || slices.ContainsFunc(account.GetRoles(), holds) {
		return nil
	}
	return &deniedError{reason: reasonForbidden, text: fmt.Sprintf(
		"%s may not read: the charter asks for one of the roles %s or %s, which an admin of its org can give it",
		account.GetName(), strings.Join(roles, ", "), accounts.RoleAdmin)}
}

func sameKey(a, b *keysv1.PublicKey) bool {
	return a.GetScheme() == b.GetScheme() && bytes.Equal(a.GetKey(), b.GetKey())
}
