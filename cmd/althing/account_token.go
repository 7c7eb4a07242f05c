package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

func newAccountSetTokenKeyCommand(s *streams) *cobra.Command {
	var publicKeys []string
	var none bool
	cmd := &cobra.Command{
		Use:   "set-token-key ORG/NAME",
		Short: "Register the key that signs an account's tokens for reading",
		Long: `Register the keys that sign an account's tokens for reading, in the place of those that are there. Where the charter
closes reads to members, every read needs such a token: --read-as ORG/NAME makes it. Without --public-key it is
the key NAME.token.json in the network's directory of keys, which is made if there is none. Keys are ecdsa (ES256K) or
ed25519 (EdDSA), at most four.`,
		Example: `  althing account set-token-key acme/alice --as acme/alice
  althing account set-token-key acme/alice --public-key ed25519:HEX --as acme/admin
  althing account set-token-key acme/alice --none --as acme/admin`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringArrayVar(&publicKeys, "public-key", nil, "`SCHEME:HEX` of a key; may be repeated")
	cmd.Flags().BoolVar(&none, "none", false, "take all token keys away")
	return s.writer(cmd, func(_ context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		if _, err := names.Account(args[0]); err != nil {
			return nil, err
		}
		if none && len(publicKeys) > 0 {
			return nil, usagef("--none and --public-key contradict each other")
		}
		var listed []*keysv1.PublicKey
		for _, text := range publicKeys {
			key, err := parseKey(text)
			if err != nil {
				return nil, err
			}
			listed = append(listed, key)
		}
		if !none && len(listed) == 0 {
			key, err := ownTokenKey(l, args[0])
			if err != nil {
				return nil, err
			}
			listed = append(listed, key)
		}
		slices.SortFunc(listed, func(a, b *keysv1.PublicKey) int {
			return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), bytes.Compare(a.Key, b.Key))
		})
		op := &accountsv1.SetTokenKeys{Name: args[0], TokenKeys: listed}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountSetTokenKeys{AccountSetTokenKeys: op}}, nil
	})
}

// ownTokenKey returns the public key of an account's file, after making it if there is none.
func ownTokenKey(l *link, account string) (*keysv1.PublicKey, error) {
	path, err := l.Network().TokenKeyPath(account)
	if err != nil {
		return nil, usageError(err)
	}
	source, err := l.Network().TokenSource(account)
	if errors.Is(err, client.ErrNoKey) && !exists(path) {
		if source, err = l.Network().CreateTokenKey(account, keys.SchemeEd25519, nil); err == nil {
			l.made = append(l.made, madeKey{file: path})
		}
	}
	if err != nil {
		return nil, usageError(err)
	}
	return wireKey(source.Public()), nil
}
