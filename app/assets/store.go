package assets

import (
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Reader reads assets, holdings and holds. Every error that is no [tx.Rejection] is an I/O failure or corruption.
type Reader struct{ kv exec.Reader }

// Read returns a reader over kv.
func Read(kv exec.Reader) Reader { return Reader{kv} }

// Asset returns the definition of an asset, nil if there is none of that name.
func (r Reader) Asset(name string) (*assetsv1.Asset, error) {
	asset := new(assetsv1.Asset)
	if found, err := exec.Get(r.kv, assetKey(name), asset); err != nil || !found {
		return nil, err
	}
	return asset, nil
}

// RequireAsset returns the definition of an asset, or rejects with NOT_FOUND.
func (r Reader) RequireAsset(name string) (*assetsv1.Asset, error) {
	asset, err := r.Asset(name)
	if err == nil && asset == nil {
		err = tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no asset %s: check the name, or create it", name)
	}
	return asset, err
}

// Supply returns how much of an existing asset there is.
func (r Reader) Supply(asset string) (amount.Amount, error) {
	value, err := r.kv.Get(supplyKey(asset))
	if err != nil {
		return amount.Amount{}, err
	}
	supply, err := decodeSupply(value)
	if err != nil {
		return amount.Amount{}, fmt.Errorf("supply of %s: %w", asset, err)
	}
	return supply, nil
}

// Holding returns what an account has of an asset: nothing if either does not exist.
func (r Reader) Holding(asset, account string) (Holding, error) {
	value, err := r.kv.Get(holdingKey(asset, account))
	if err != nil || value == nil {
		return Holding{}, err
	}
	h, err := decodeHolding(value)
	if err != nil {
		return Holding{}, fmt.Errorf("holding of %s by %s: %w", asset, account, err)
	}
	return h, nil
}

// Hold returns an open hold, nil if there is none with that id.
func (r Reader) Hold(id []byte) (*assetsv1.Hold, error) {
	hold := new(assetsv1.Hold)
	if found, err := exec.Get(r.kv, holdKey(id), hold); err != nil || !found {
		return nil, err
	}
	return hold, nil
}

// Store reads and writes assets, holdings and holds. It is the only code that writes them.
type Store struct {
	Reader
	out exec.Writer
}

// Open returns a store over kv.
func Open(kv exec.KV) Store { return Store{Reader{kv}, kv} }

func (s Store) setAsset(a *assetsv1.Asset) error { return exec.Put(s.out, assetKey(a.Name), a) }

func (s Store) setSupply(asset string, a amount.Amount) {
	s.out.Set(supplyKey(asset), encodeSupply(a))
}

// setHolding writes a holding, or removes its leaf when there is nothing in it.
func (s Store) setHolding(asset, account string, h Holding) {
	key := holdingKey(asset, account)
	if h == (Holding{}) {
		s.out.Delete(key)
		return
	}
	s.out.Set(key, encodeHolding(h))
}

func (s Store) setHold(h *assetsv1.Hold) error { return exec.Put(s.out, holdKey(h.Id), h) }

func (s Store) deleteHold(id []byte) { s.out.Delete(holdKey(id)) }
