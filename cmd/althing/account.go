package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

func newAccountCommand(s *streams) *cobra.Command {
	return noun("account", "Accounts and their keys",
		newAccountCreateCommand(s), newAccountShowCommand(s), newAccountListCommand(s), newAccountSetRolesCommand(s),
		newAccountAddKeyCommand(s), newAccountRevokeKeyCommand(s), newAccountRotateKeyCommand(s), newAccountSetTokenKeyCommand(s))
}

func newAccountCreateCommand(s *streams) *cobra.Command {
	var publicKeys, roles []string
	var threshold uint32
	cmd := &cobra.Command{
		Use:   "create ORG/NAME",
		Short: "Create an account",
		Long: `Create an account in the organisation of the one that acts, which needs the role admin. Without
--public-key the account gets the key in the network's directory of keys, which is made if there is
none.`,
		Example: `  althing account create acme/bob --role payer --as acme/admin
  althing account create acme/board --public-key schnorr:HEX@2 --public-key ed25519:HEX --threshold 2 --as acme/admin`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringArrayVar(&publicKeys, "public-key", nil, "`SCHEME:HEX[@WEIGHT]` of a key; may be repeated")
	cmd.Flags().StringArrayVar(&roles, "role", nil, "a `ROLE` of the account, such as payer, writer, issuer or admin; may be repeated")
	cmd.Flags().Uint32Var(&threshold, "threshold", 1, "the weights that must sign together")
	return s.writer(cmd, func(_ context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		if _, err := names.Account(args[0]); err != nil {
			return nil, err
		}
		weighted, err := parseWeightedKeys(publicKeys)
		if err != nil {
			return nil, err
		}
		if len(weighted) == 0 {
			if weighted, err = ownKeys(l, args[0]); err != nil {
				return nil, err
			}
		}
		slices.Sort(roles)
		op := &accountsv1.Create{Name: args[0], Keys: weighted, Threshold: threshold, Roles: roles}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountCreate{AccountCreate: op}}, nil
	})
}

// ownKeys returns the public keys of an account's key files, each of weight 1, after making one if there is none.
func ownKeys(l *link, account string) ([]*accountsv1.WeightedKey, error) {
	network := l.Network()
	loaded, err := network.Keys(account)
	if errors.Is(err, client.ErrNoKey) {
		path, pathErr := accountKeyPath(network, account, "")
		if pathErr != nil {
			return nil, pathErr
		}
		var key keys.PrivateKey
		if key, err = newKeyFile(path, keys.SchemeSchnorr); err == nil {
			loaded, l.made = []keys.PrivateKey{key}, append(l.made, madeKey{file: path})
		}
	}
	if err != nil {
		return nil, err
	}
	var weighted []*accountsv1.WeightedKey
	for _, key := range loaded {
		weighted = append(weighted, &accountsv1.WeightedKey{PublicKey: wireKey(key.Public()), Weight: 1})
	}
	sortKeys(weighted)
	return weighted, nil
}

// parseWeightedKeys reads SCHEME:HEX[@WEIGHT], in the order that the ledger keeps.
func parseWeightedKeys(texts []string) ([]*accountsv1.WeightedKey, error) {
	var weighted []*accountsv1.WeightedKey
	for _, text := range texts {
		keyPart, weightPart, found := strings.Cut(text, "@")
		weight := uint64(1)
		if found {
			var err error
			if weight, err = strconv.ParseUint(weightPart, 10, 32); err != nil || weight == 0 {
				return nil, usagef("weight %.20q of a key is no number above zero", weightPart)
			}
		}
		public, err := parseKey(keyPart)
		if err != nil {
			return nil, err
		}
		weighted = append(weighted, &accountsv1.WeightedKey{PublicKey: public, Weight: uint32(weight)})
	}
	sortKeys(weighted)
	return weighted, nil
}

func sortKeys(list []*accountsv1.WeightedKey) {
	slices.SortFunc(list, func(a, b *accountsv1.WeightedKey) int {
		if d := int(a.PublicKey.Scheme) - int(b.PublicKey.Scheme); d != 0 {
			return d
		}
		return slices.Compare(a.PublicKey.Key, b.PublicKey.Key)
	})
}

func newAccountSetRolesCommand(s *streams) *cobra.Command {
	var none bool
	cmd := &cobra.Command{
		Use:   "set-roles ORG/NAME [ROLE...]",
		Short: "Replace the roles of an account",
		Example: `  althing account set-roles acme/bob payer writer --as acme/admin
  althing account set-roles acme/bob --none --as acme/admin`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().BoolVar(&none, "none", false, "take all roles away")
	return s.writer(cmd, func(_ context.Context, _ *link, args []string) (*ledgerv1.Operation, error) {
		if _, err := names.Account(args[0]); err != nil {
			return nil, err
		}
		roles := slices.Sorted(slices.Values(args[1:]))
		if none != (len(roles) == 0) {
			return nil, usagef("name the roles that the account shall have, or --none")
		}
		for _, role := range roles {
			if err := names.Role(role); err != nil {
				return nil, err
			}
		}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountSetRoles{AccountSetRoles: &accountsv1.SetRoles{Name: args[0], Roles: roles}}}, nil
	})
}

func newAccountAddKeyCommand(s *streams) *cobra.Command {
	var publicKey string
	var threshold uint32
	cmd := &cobra.Command{
		Use:     "add-key ORG/NAME --public-key SCHEME:HEX[@WEIGHT]",
		Short:   "List one more key of an account",
		Example: "  althing account add-key acme/alice --public-key ed25519:HEX@1 --as acme/alice",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&publicKey, "public-key", "", "`SCHEME:HEX[@WEIGHT]` of the key")
	require(cmd, "public-key")
	cmd.Flags().Uint32Var(&threshold, "threshold", 0, "the threshold from now on (default: as it is)")
	return s.writer(cmd, func(_ context.Context, _ *link, args []string) (*ledgerv1.Operation, error) {
		weighted, err := parseWeightedKeys([]string{publicKey})
		if err != nil {
			return nil, err
		}
		op := &accountsv1.AddKey{Name: args[0], Key: weighted[0], Threshold: threshold}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountAddKey{AccountAddKey: op}}, nil
	})
}

func newAccountRevokeKeyCommand(s *streams) *cobra.Command {
	var publicKey string
	var threshold uint32
	cmd := &cobra.Command{
		Use:     "revoke-key ORG/NAME --public-key SCHEME:HEX",
		Short:   "Strike a key of an account",
		Example: "  althing account revoke-key acme/alice --public-key ed25519:HEX --as acme/admin",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&publicKey, "public-key", "", "`SCHEME:HEX` of the key")
	require(cmd, "public-key")
	cmd.Flags().Uint32Var(&threshold, "threshold", 0, "the threshold from now on (default: as it is)")
	return s.writer(cmd, func(_ context.Context, _ *link, args []string) (*ledgerv1.Operation, error) {
		public, err := parseKey(publicKey)
		if err != nil {
			return nil, err
		}
		op := &accountsv1.RevokeKey{Name: args[0], PublicKey: public, Threshold: threshold}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountRevokeKey{AccountRevokeKey: op}}, nil
	})
}

func newAccountRotateKeyCommand(s *streams) *cobra.Command {
	var oldKey, newKey string
	cmd := &cobra.Command{
		Use:   "rotate-key ORG/NAME",
		Short: "Put a new key in the place of an old one, with its weight",
		Long: `Put a new key in the place of an old one, with its weight. Without --new a key is made and its file
put beside the account's other key files; the name of the file begins with the digits of the key.
Without --old the account's only key is replaced.`,
		Example: `  althing account rotate-key acme/alice --as acme/alice
  althing account rotate-key acme/alice --old schnorr:HEX --new ed25519:HEX --as acme/admin`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&oldKey, "old", "", "`SCHEME:HEX` of the key to replace")
	cmd.Flags().StringVar(&newKey, "new", "", "`SCHEME:HEX` of the key to put in its place")
	return s.writer(cmd, func(ctx context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		for _, name := range []string{"old", "new"} {
			if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
				return nil, missing(f.Name, f.Usage)
			}
		}
		old, err := keyToReplace(ctx, l, args[0], oldKey)
		if err != nil {
			return nil, err
		}
		var fresh *keysv1.PublicKey
		if newKey != "" {
			if fresh, err = parseKey(newKey); err != nil {
				err = usagef("--new: %w", err)
			}
		} else {
			fresh, err = makeNextKey(l, args[0])
		}
		if err != nil {
			return nil, err
		}
		op := &accountsv1.RotateKey{Name: args[0], OldKey: old, NewKey: fresh}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountRotateKey{AccountRotateKey: op}}, nil
	})
}

// keyToReplace returns the key that the user named, or the only one that the account has.
func keyToReplace(ctx context.Context, l *link, account, named string) (*keysv1.PublicKey, error) {
	if named != "" {
		key, err := parseKey(named)
		if err != nil {
			return nil, usagef("--old: %w", err)
		}
		return key, nil
	}
	if _, err := names.Account(account); err != nil {
		return nil, err
	}
	resp, err := l.Accounts().GetAccount(ctx, &accountsv1.GetAccountRequest{Name: account})
	if err != nil {
		return nil, err
	}
	if n := len(resp.GetAccount().GetKeys()); n != 1 {
		return nil, usagef("%s has %s: say with --old which one to replace", account, plural(n, "key"))
	}
	return resp.Account.Keys[0].PublicKey, nil
}

// makeNextKey makes a key whose file stands beside the account's others.
func makeNextKey(l *link, account string) (*keysv1.PublicKey, error) {
	key, err := keys.Generate(keys.SchemeSchnorr, nil)
	if err != nil {
		return nil, err
	}
	_, digits, _ := strings.Cut(key.Public().String(), ":")
	path, err := accountKeyPath(l.Network(), account, digits[:8])
	if err != nil {
		return nil, err
	}
	if err := keys.SaveFile(path, key); err != nil {
		return nil, badPath(path, err)
	}
	// The key of an earlier rotation lies in such a file too: one must not come back because the ledger does not list it.
	l.made = append(l.made, madeKey{file: path, again: "--new " + key.Public().String()})
	return wireKey(key.Public()), nil
}

func newAccountShowCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:     "show ORG/NAME",
		Short:   "Show an account, its keys and its roles",
		Example: "  althing account show acme/admin",
		Args:    cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if _, err := names.Account(args[0]); err != nil {
				return err
			}
			resp, err := l.Accounts().GetAccount(ctx, &accountsv1.GetAccountRequest{Name: args[0], Height: height})
			if err != nil {
				return err
			}
			a := resp.GetAccount()
			value := append(l.units.render(ctx, a), field{"height", resp.Height})
			return s.showProven(g, resp.Height, value, func(out io.Writer) {
				fmt.Fprintf(out, "account\t%s\nroles\t%s\nthreshold\t%d\ncreated at\t%d\n", a.GetName(), listWords(a.GetRoles()), a.GetThreshold(), a.GetCreatedHeight())
				for _, k := range a.GetKeys() {
					fmt.Fprintf(out, "key\t%s\tweight %d\n", keyText(k.PublicKey), k.Weight)
				}
			})
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}

func newAccountListCommand(s *streams) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use:   "list [ORG]",
		Short: "List the accounts, or those of one organisation",
		Example: `  althing account list
  althing account list acme`,
		Args: cobra.MaximumNArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			org, err := optionalOrg(args)
			if err != nil {
				return err
			}
			found, err := collect(p, func(at uint64, page string, size uint32) (uint64, []*accountsv1.Account, string, error) {
				resp, err := l.Accounts().ListAccounts(ctx, &accountsv1.ListAccountsRequest{Height: at, Page: page, PageSize: size, Org: org})
				return resp.GetHeight(), resp.GetAccounts(), resp.GetNextPage(), err
			})
			if err != nil {
				return err
			}
			return showList(ctx, s, g, l, "accounts", found, "ACCOUNT\tKEYS\tTHRESHOLD\tROLES", func(out io.Writer, a *accountsv1.Account) {
				fmt.Fprintf(out, "%s\t%d\t%d\t%s\n", a.Name, len(a.Keys), a.Threshold, listWords(a.Roles))
			})
		}),
	}
	p.flags(cmd)
	return cmd
}

// optionalOrg reads an organisation that need not be named.
func optionalOrg(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	return args[0], names.Org(args[0])
}
