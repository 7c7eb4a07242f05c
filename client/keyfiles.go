package client

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/names"
)

// keySuffix ends the name of every key file.
const keySuffix = ".json"

// maxAccountKeys bounds how many key files are loaded for one account. The ledger lists 16 keys at most; the rest leaves
// room for keys that were rotated out.
const maxAccountKeys = 64

// KeyPath returns the path of a key file of an account: KEYS/ORG/ACCOUNT.json, or KEYS/ORG/ACCOUNT.LABEL.json for a
// further key. A label follows the rule for record ids, without dots; `token` is the key that signs tokens.
func (n *Network) KeyPath(account, label string) (string, error) {
	org, err := names.Account(account)
	if err != nil {
		return "", err
	}
	if n.KeysDir == "" {
		return "", fmt.Errorf("%w: the network file names no directory of keys", ErrNoKey)
	}
	file := strings.TrimPrefix(account, org+"/")
	if label != "" {
		if _, _, err := names.Record("keys/label/" + label); err != nil || strings.Contains(label, ".") {
			return "", fmt.Errorf("%.80q is no label for a key: write letters, digits, - and _", label)
		}
		file += "." + label
	}
	return filepath.Join(n.KeysDir, org, file+keySuffix), nil
}

// KeyFiles returns the paths of all key files of an account, the one without a label first, without that of the key that
// signs tokens, which signs no transaction. It returns none where there is none.
func (n *Network) KeyFiles(account string) ([]string, error) {
	first, err := n.KeyPath(account, "")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(first))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for key files of %s: %w", account, err)
	}
	name := strings.TrimSuffix(filepath.Base(first), keySuffix)
	var files []string
	for _, entry := range entries {
		// Names of accounts have no dots, so what stands before the first one is the account.
		account, _, _ := strings.Cut(entry.Name(), ".")
		if account == name && strings.HasSuffix(entry.Name(), keySuffix) && entry.Name() != name+"."+tokenLabel+keySuffix {
			files = append(files, filepath.Join(filepath.Dir(first), entry.Name()))
		}
	}
	if len(files) > maxAccountKeys {
		return nil, fmt.Errorf("%s has %d key files, %d are allowed: move those that are no longer used away",
			account, len(files), maxAccountKeys)
	}
	slices.SortFunc(files, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(filepath.Base(a)), len(filepath.Base(b))), cmp.Compare(a, b))
	})
	return files, nil
}

// Keys loads all keys of an account: KEYS/ORG/ACCOUNT.json and KEYS/ORG/ACCOUNT.*.json. A key that stands in two files
// comes once. It returns [ErrNoKey] if there is no file, and the errors of [keys.LoadFile].
func (n *Network) Keys(account string) ([]keys.PrivateKey, error) {
	files, err := n.KeyFiles(account)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		path, _ := n.KeyPath(account, "")
		return nil, fmt.Errorf("%w of %s: there is no file %s", ErrNoKey, account, path)
	}
	return LoadKeys(files...)
}

// LoadKeys loads key files. A key that stands in two files comes once.
func LoadKeys(files ...string) ([]keys.PrivateKey, error) {
	var loaded []keys.PrivateKey
	for _, file := range files {
		key, err := keys.LoadFile(file)
		if err != nil {
			return nil, err
		}
		twice := func(k keys.PrivateKey) bool { return k.Public().Equal(key.Public()) }
		if !slices.ContainsFunc(loaded, twice) {
			loaded = append(loaded, key)
		}
	}
	return loaded, nil
}
