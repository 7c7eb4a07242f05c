package signer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	signerv1 "github.com/althing-ledger/althing/proto/gen/althing/signer/v1"
)

const (
	// callTime bounds one call. The engine waits for signatures.
	callTime = 2 * time.Second
	// refreshTime is how often the keys are asked for; retryTime how often while the signer does not answer.
	refreshTime = 30 * time.Second
	retryTime   = 500 * time.Millisecond
)

// RemoteConfig says where a signer process is and how the two know each other.
type RemoteConfig struct {
	// Address is host:port.
	Address string
	// PublicKey is the signer's identity, 32 bytes.
	PublicKey []byte
	// Key is this node's, 64 bytes. The signer's settings list it.
	Key ed25519.PrivateKey
	// Logger receives the log. Default: none.
	Logger *slog.Logger
}

// Remote signs with the keys of a signer process, which also keeps the record. It is safe for concurrent use, and does not
// mind when the process comes and goes.
type Remote struct {
	conn   *grpc.ClientConn
	client signerv1.SignerServiceClient
	log    *slog.Logger
	wake   chan struct{} // capacity 1: ask for the keys now

	mu       sync.Mutex
	learned  [][]byte // what the process said it has, the last time it was asked
	expected []byte   // a key that the ledger lists, until the process says whether it has it
	denied   []byte   // the one that it said it does not have
}

// NewRemote prepares a connection; it does not wait for one. The error is [ErrConfig].
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	if host, port, err := net.SplitHostPort(cfg.Address); err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("%w: address %.100q is not host:port", ErrConfig, cfg.Address)
	}
	if len(cfg.PublicKey) != ed25519.PublicKeySize || len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: a public key of %d bytes, a private one of %d", ErrConfig, len(cfg.PublicKey), len(cfg.Key))
	}
	pinned := bytes.Clone(cfg.PublicKey)
	secure, err := tlsConfig(cfg.Key, func() ([][]byte, error) { return [][]byte{pinned}, nil })
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+cfg.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(secure)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: callTime,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxRequest)),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
	)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r := &Remote{conn: conn, client: signerv1.NewSignerServiceClient(conn), log: cfg.Logger, wake: make(chan struct{}, 1)}
	if r.log == nil {
		r.log = discard()
	}
	return r, nil
}

// Run keeps the list of keys, and says when the process goes and comes back. It returns nil when the context ends.
func (r *Remote) Run(ctx context.Context) error {
	var down time.Time
	for {
		wait := refreshTime
		switch err := r.refresh(ctx); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if down.IsZero() {
				down = time.Now()
				r.log.Error("the signer cannot be reached: this node does not vote", "err", err)
			}
			wait = retryTime
		case !down.IsZero():
			r.log.Info("the signer is back", "after", time.Since(down).Round(time.Millisecond))
			down = time.Time{}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// refresh asks for the keys.
func (r *Remote) refresh(ctx context.Context) error {
	expected := r.expecting()
	found, err := r.list(ctx, "", "")
	if err != nil {
		return err
	}
	publics := make([][]byte, len(found))
	for i, key := range found {
		publics[i] = key.PublicKey
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.learned = publics
	if holds(publics, r.denied) {
		r.denied = nil
	}
	if expected != nil && bytes.Equal(expected, r.expected) {
		if !holds(publics, expected) {
			r.denied = expected
		}
		r.expected = nil
	}
	return nil
}

func (r *Remote) expecting() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.expected
}

func (r *Remote) list(ctx context.Context, node, org string) ([]*signerv1.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	out, err := r.client.ListKeys(ctx, &signerv1.ListKeysRequest{Node: node, Org: org})
	if err != nil {
		return nil, explain(err)
	}
	if len(out.Keys) == 0 {
		return nil, fmt.Errorf("%w: it lists no keys", ErrUnreachable)
	}
	for _, key := range out.Keys {
		if len(key.PublicKey) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: it lists a key of %d bytes", ErrUnreachable, len(key.PublicKey))
		}
	}
	return out.Keys, nil
}

// PublicKeys returns the keys that the process has, as far as is known. One that the ledger lists counts until the process
// denies it: it votes as soon as the process answers.
func (r *Remote) PublicKeys() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([][]byte, 0, len(r.learned)+1)
	for _, public := range r.learned {
		out = append(out, bytes.Clone(public))
	}
	if r.expected != nil && !holds(out, r.expected) {
		out = append(out, bytes.Clone(r.expected))
	}
	return out
}

// Sign asks the process for a signature. The error is one of [Keyring.Sign], or [ErrUnreachable], which passes.
func (r *Remote) Sign(publicKey, message []byte) (signature []byte, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	out, err := r.client.Sign(ctx, &signerv1.SignRequest{PublicKey: publicKey, Message: message})
	if err != nil {
		r.ask()
		return nil, time.Time{}, explain(err)
	}
	if len(out.Signature) != ed25519.SignatureSize {
		return nil, time.Time{}, fmt.Errorf("%w: it sent a signature of %d bytes", ErrUnreachable, len(out.Signature))
	}
	if out.SignedAtUnixNano != 0 {
		return out.Signature, time.Unix(0, out.SignedAtUnixNano).UTC(), nil
	}
	if !ed25519.Verify(publicKey, message, out.Signature) {
		return nil, time.Time{}, fmt.Errorf("%w: it sent a wrong signature", ErrUnreachable)
	}
	return out.Signature, time.Time{}, nil
}

// Expect says that the ledger lists this key. It does not wait for the process; the error is [ErrUnknownKey] if that has
// denied the key before.
func (r *Remote) Expect(publicKey []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if holds(r.learned, publicKey) {
		return nil
	}
	r.ask()
	if bytes.Equal(r.denied, publicKey) {
		return fmt.Errorf("%w: %x", ErrUnknownKey, publicKey)
	}
	r.expected = bytes.Clone(publicKey)
	return nil
}

// ask makes Run ask for the keys soon.
func (r *Remote) ask() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Prepare makes the process prepare the key that shall vote next, and returns it with the proof that registering it demands.
func (r *Remote) Prepare(ctx context.Context, node, org string) (publicKey, proof []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	out, err := r.client.PrepareKey(ctx, &signerv1.PrepareKeyRequest{Node: node, Org: org})
	if err != nil {
		return nil, nil, explain(err)
	}
	return out.GetKey().GetPublicKey(), out.GetKey().GetProof(), nil
}

// Present returns the key that votes now, with the proof that registering it for a node demands.
func (r *Remote) Present(ctx context.Context, node, org string) (publicKey, proof []byte, err error) {
	found, err := r.list(ctx, node, org)
	if err != nil {
		return nil, nil, err
	}
	return found[0].PublicKey, found[0].Proof, nil
}

// Keep makes the process destroy the key before this one, which votes from a height on.
func (r *Remote) Keep(ctx context.Context, publicKey []byte, from int64) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if _, err := r.client.KeepKey(ctx, &signerv1.KeepKeyRequest{PublicKey: publicKey, FromHeight: uint64(from)}); err != nil {
		return explain(err)
	}
	r.ask()
	return nil
}

// Close closes the connection.
func (r *Remote) Close() error { return r.conn.Close() }

// explain turns an error of a call into one of this package.
func explain(err error) error {
	s, _ := status.FromError(err)
	for _, k := range kindCodes {
		if s.Code() == k.code {
			return fmt.Errorf("%w: the signer says: %s", k.kind, s.Message())
		}
	}
	if s.Code() == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: no answer within %v", ErrUnreachable, callTime)
	}
	return fmt.Errorf("%w: %s", ErrUnreachable, s.Message())
}
