package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/names"
)

// keyInfo is what is printed of a key. Nothing of the secret is.
type keyInfo struct {
	Account   string `json:"account,omitempty"`
	Scheme    string `json:"scheme"`
	PublicKey string `json:"public_key"`
	File      string `json:"file"`
}

func infoOf(account, file string, public keys.PublicKey) keyInfo {
	return keyInfo{Account: account, Scheme: public.Scheme().String(), PublicKey: public.String(), File: file}
}

func newKeyCommand(s *streams) *cobra.Command {
	return noun("key", "Key files", newKeyNewCommand(s), newKeyShowCommand(s), newKeyListCommand(s))
}

func newKeyNewCommand(s *streams) *cobra.Command {
	var scheme, label, out string
	cmd := &cobra.Command{
		Use:   "new [ORG/NAME]",
		Short: "Make a key and write it to a file that only you can read",
		Long: `Make a key and write it to a file that only you can read: that of an account in the network's
directory of keys, or any file with --out. A file that exists is never overwritten. The ledger
learns of the key by ` + "`althing account create`" + ` or ` + "`add-key`" + `.`,
		Example: `  althing key new acme/alice
  althing key new acme/alice --label laptop --scheme ed25519
  althing key new --out alice.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g := globalsOf(cmd)
			parsed, err := keys.ParseScheme(scheme)
			if err != nil {
				return usageError(err)
			}
			account, path := "", out
			switch {
			case len(args) == 1 && out != "", len(args) == 0 && out == "":
				return usagef("where does the key go? name an account or --out FILE, one of both")
			case len(args) == 1:
				account = args[0]
				network, err := s.loadNetwork(g)
				if err != nil {
					return err
				}
				if path, err = accountKeyPath(network, account, label); err != nil {
					return err
				}
			case label != "":
				return usagef("--label is for the key of an account")
			}
			key, err := newKeyFile(path, parsed)
			if err != nil {
				return err
			}
			info := infoOf(account, path, key.Public())
			return s.show(g, info, func(w io.Writer) { fmt.Fprintf(w, "%s\n%s\n", info.PublicKey, info.File) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&scheme, "scheme", keys.SchemeSchnorr.String(), "schnorr, ecdsa or ed25519")
	flags.StringVar(&label, "label", "", "`WORD` that tells further keys of an account apart")
	flags.StringVarP(&out, "out", "o", "", "write the key to this `FILE`")
	return cmd
}

// accountKeyPath returns where a key of an account belongs.
func accountKeyPath(network *client.Network, account, label string) (string, error) {
	path, err := network.KeyPath(account, label)
	if err != nil {
		return "", usageError(err)
	}
	return path, nil
}

// newKeyFile makes a key and its file, and the directory for it.
func newKeyFile(path string, scheme keys.Scheme) (keys.PrivateKey, error) {
	key, err := keys.Generate(scheme, nil)
	if err != nil {
		return keys.PrivateKey{}, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return keys.PrivateKey{}, badPath(filepath.Dir(path), err)
	}
	if err := keys.SaveFile(path, key); err != nil {
		if errors.Is(err, keys.ErrFileExists) {
			return keys.PrivateKey{}, hint(err, "a key is never overwritten: choose another file, or --label WORD for a further key of the account")
		}
		return keys.PrivateKey{}, badPath(path, err)
	}
	return key, nil
}

func newKeyShowCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "show ORG/NAME|FILE",
		Short: "Show the public keys of an account's key files, or of one file",
		Example: `  althing key show acme/admin
  althing key show alice.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g := globalsOf(cmd)
			account, files := "", args
			// What is no file may be an account.
			if _, err := os.Stat(args[0]); errors.Is(err, fs.ErrNotExist) {
				if _, err := names.Account(args[0]); err != nil {
					return fmt.Errorf("there is no file %s, and it is no account: %w", args[0], err)
				}
				network, err := s.loadNetwork(g)
				if err != nil {
					return err
				}
				account = args[0]
				if files, err = network.KeyFiles(account); err != nil {
					return err
				}
				if len(files) == 0 {
					return hint(fmt.Errorf("%w of %s in %s", client.ErrNoKey, account, network.KeysDir), "`althing key new %s` makes one", account)
				}
			}
			return s.showKeys(g, func(add func(account, file string)) {
				for _, file := range files {
					add(account, file)
				}
			})
		},
	}
}

// showKeys loads the files that it is given and prints their public keys.
func (s *streams) showKeys(g globals, each func(add func(account, file string))) error {
	infos := []keyInfo{}
	var failed error
	each(func(account, file string) {
		key, err := keys.LoadFile(file)
		if err != nil {
			failed = cmp.Or(failed, err)
			return
		}
		infos = append(infos, infoOf(account, file, key.Public()))
	})
	if failed != nil {
		return usageError(failed)
	}
	return s.show(g, object{{"keys", infos}}, func(out io.Writer) {
		fmt.Fprintln(out, "ACCOUNT\tPUBLIC KEY\tFILE")
		for _, k := range infos {
			fmt.Fprintf(out, "%s\t%s\t%s\n", orDash(k.Account), k.PublicKey, k.File)
		}
	})
}

func newKeyListCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the key files of the network's directory",
		Example: "  althing key list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g := globalsOf(cmd)
			network, err := s.loadNetwork(g)
			if err != nil {
				return err
			}
			files, err := filepath.Glob(filepath.Join(network.KeysDir, "*", "*.json"))
			if err != nil {
				return err
			}
			return s.showKeys(g, func(add func(account, file string)) {
				for _, file := range files {
					name, _, _ := strings.Cut(filepath.Base(file), ".")
					account := filepath.Base(filepath.Dir(file)) + "/" + name
					if _, err := names.Account(account); err == nil {
						add(account, file)
					}
				}
			})
		},
	}
}
