package mempool

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/althing-ledger/althing/keys"
)

// keyName is the encoding of a public key.
type keyName struct {
	scheme keys.Scheme
	raw    [keys.MaxPublicKeySize]byte
}

// keyCache remembers parsed public keys, so that keys that were used before need no square root, and for ECDSA, whose signatures
// are verified one by one, tables of keys under which two signatures were valid. It is safe for concurrent use.
type keyCache struct {
	parsed *lru.Cache[keyName, parsedKey]
	tables *lru.Cache[keyName, keys.PublicKey] // keys with tables, which are not in parsed
}

type parsedKey struct {
	keys.PublicKey
	used bool // a signature under it was valid
}

func newKeyCache(parsed, tables int) (c keyCache, err error) {
	if c.parsed, err = lru.New[keyName, parsedKey](parsed); err != nil {
		return c, fmt.Errorf("make the cache of keys: %w", err)
	}
	if c.tables, err = lru.New[keyName, keys.PublicKey](tables); err != nil {
		return c, fmt.Errorf("make the cache of keys with tables: %w", err)
	}
	return c, nil
}

// parse is [keys.ParsePublicKey]. The key that it returns may have a table, which changes no verdict.
func (c *keyCache) parse(scheme keys.Scheme, raw []byte) (keys.PublicKey, error) {
	if len(raw) != scheme.PublicKeySize() {
		return keys.ParsePublicKey(scheme, raw)
	}
	name := nameOf(scheme, raw)
	if scheme == keys.SchemeECDSA {
		if known, ok := c.tables.Get(name); ok {
			return known, nil
		}
	}
	if known, ok := c.parsed.Get(name); ok {
		return known.PublicKey, nil
	}
	key, err := keys.ParsePublicKey(scheme, raw)
	if err == nil {
		c.parsed.Add(name, parsedKey{PublicKey: key})
	}
	return key, err
}

// valid tells that a signature under an ECDSA key was valid. The second one gets the key its table; keys under which nothing is
// ever valid displace none.
func (c *keyCache) valid(raw []byte) {
	name := nameOf(keys.SchemeECDSA, raw)
	known, ok := c.parsed.Peek(name)
	switch {
	case !ok: // has its table, or was displaced
	case known.used:
		c.tables.Add(name, known.Precomputed())
		c.parsed.Remove(name)
	default:
		known.used = true
		c.parsed.Add(name, known)
	}
}

func nameOf(scheme keys.Scheme, raw []byte) keyName {
	name := keyName{scheme: scheme}
	copy(name.raw[:], raw)
	return name
}
