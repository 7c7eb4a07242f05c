package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/token"
)

// TokenLifetime is how long the tokens live that a client signs for its reads. Where the charter allows less, it is less.
const TokenLifetime = 5 * time.Minute

// tokenLabel is the label of the file of the key that signs an account's tokens. It signs no transaction.
const tokenLabel = "token"

// TokenSource is an account and the key that signs its tokens: with it a client reads where the charter keeps reads to
// members. It is immutable and safe for concurrent use.
type TokenSource struct {
	account string
	key     keys.PrivateKey
}

// NewTokenSource returns the source of an account's tokens. The key is one of those that `althing account set-token-key`
// registers: ECDSA or Ed25519. It returns [ErrNoKey] for a key of another scheme.
func NewTokenSource(account string, key keys.PrivateKey) (*TokenSource, error) {
	if _, err := names.Account(account); err != nil {
		return nil, err
	}
	if err := token.CanSign(key.Public().Scheme()); err != nil {
		return nil, fmt.Errorf("%w for the tokens of %s: %w", ErrNoKey, account, err)
	}
	return &TokenSource{account: account, key: key}, nil
}

// Account returns the account that reads.
func (s *TokenSource) Account() string { return s.account }

// Sign returns a token for one network that is good from now on and for so long, as a program in another language would
// send it: `authorization: Bearer TOKEN`. Whoever has it can read until it ends.
func (s *TokenSource) Sign(chainID string, now time.Time, lifetime time.Duration) (string, error) {
	return token.Sign(s.key, token.Claims{Account: s.account, ChainID: chainID, IssuedAt: now, ExpiresAt: now.Add(lifetime)})
}

// TokenKeyPath returns the path of the file of the key that signs an account's tokens: KEYS/ORG/ACCOUNT.token.json.
func (n *Network) TokenKeyPath(account string) (string, error) { return n.KeyPath(account, tokenLabel) }

// TokenSource loads the key that signs an account's tokens. It returns [ErrNoKey] if there is no file, and the errors of
// [keys.LoadFile].
func (n *Network) TokenSource(account string) (*TokenSource, error) {
	path, err := n.TokenKeyPath(account)
	if err != nil {
		return nil, err
	}
	key, err := keys.LoadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w for the tokens of %s: there is no file %s; `althing account set-token-key %s` makes and registers it",
			ErrNoKey, account, path, account)
	}
	if err != nil {
		return nil, err
	}
	return NewTokenSource(account, key)
}

// CreateTokenKey makes a key for an account's tokens and saves it where [Network.TokenSource] looks. It counts once the
// ledger lists it: see [SetTokenKeys]. The scheme is ECDSA or Ed25519; random is the system's source where it is nil. It
// returns [keys.ErrFileExists] if there is such a file.
func (n *Network) CreateTokenKey(account string, scheme keys.Scheme, random io.Reader) (*TokenSource, error) {
	path, err := n.TokenKeyPath(account)
	if err != nil {
		return nil, err
	}
	key, err := keys.Generate(scheme, random)
	if err != nil {
		return nil, err
	}
	source, err := NewTokenSource(account, key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of keys: %w", err)
	}
	return source, keys.SaveFile(path, key)
}

// Public returns the public key that the ledger must list for the account.
func (s *TokenSource) Public() keys.PublicKey { return s.key.Public() }

// bearer signs the tokens of one client, each well before the one before it ends.
type bearer struct {
	source  *TokenSource
	chainID string
	now     func() time.Time

	mu       sync.Mutex
	lifetime time.Duration
	text     string    // empty before the first token, and when the next call needs another
	signed   time.Time // without the monotonic clock, which stands still while a machine sleeps
}

func newBearer(network *Network, config Config) *bearer {
	if config.Token == nil {
		return nil
	}
	return &bearer{source: config.Token, chainID: network.ChainID, now: config.Now, lifetime: TokenLifetime}
}

// token returns a token with at least a fifth of its life left, and when it was signed.
func (b *bearer) token() (text string, signed time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().Round(0)
	if age := now.Sub(b.signed); b.text == "" || age < 0 || age > b.lifetime-b.lifetime/5 {
		b.text, err = b.source.Sign(b.chainID, now, b.lifetime)
		b.signed = now
	}
	return b.text, b.signed, err
}

// old reports whether a token that was signed then has lived for half of its life, so that it is no wonder if it has ended.
func (b *bearer) old(signed time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now().Round(0).Sub(signed) >= b.lifetime/2
}

// renew reports whether the next token may be taken where this one was refused, and sees to it that the next call has
// another one. Whoever asks again does so once: where clocks are far apart, no token helps.
func (b *bearer) renew(denied *Denied) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	tooLong := denied.longest > 0 && denied.longest < b.lifetime
	if denied.Reason != reasonTokenExpired && !(denied.Reason == reasonTokenInvalid && tooLong) {
		return false
	}
	if tooLong {
		b.lifetime = denied.longest
	}
	b.text = ""
	return true
}

// tokenCredentials puts a bearer's tokens into the metadata of calls to one node.
type tokenCredentials struct {
	bearer *bearer
	secure bool
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (c tokenCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	text, _, err := c.bearer.token()
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + text}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (c tokenCredentials) RequireTransportSecurity() bool { return c.secure }

var _ credentials.PerRPCCredentials = tokenCredentials{}

// asReader returns what a call needs so that it reads as the bearer's account, once the node has said that it belongs to our
// network: whoever sees a token can read with it until it ends. In clear it goes nowhere but to loopback and where the
// network file allows plaintext.
func asReader(b *bearer, n Node) []grpc.CallOption {
	host, err := hostOf(n.GRPC)
	if b == nil || err != nil || (n.TLSCertificate == "" && !n.Plaintext && !isLoopback(host)) {
		return nil
	}
	return []grpc.CallOption{grpc.PerRPCCredentials(tokenCredentials{b, n.TLSCertificate != ""})}
}
