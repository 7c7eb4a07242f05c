package assets

import (
	"fmt"

	"github.com/althing-ledger/althing/proto/amount"
)

// Values that change with every payment are not messages but bytes of fixed length, each with one encoding: a format byte,
// then the fields, numbers big endian.
const (
	holdingFormat = 1
	holdingSize   = 1 + 1 + 2*amount.Size // format, flags, balance, held

	supplyFormat = 1
	supplySize   = 1 + amount.Size // format, amount

	flagFrozen = 1 << 0
)

// A Holding is what an account has of an asset. The zero value is a holding of nothing.
type Holding struct {
	Balance amount.Amount // what the account may spend
	Held    amount.Amount // what its open holds have set aside
	Frozen  bool
}

func encodeHolding(h Holding) []byte {
	b := make([]byte, 0, holdingSize)
	flags := byte(0)
	if h.Frozen {
		flags = flagFrozen
	}
	b = append(b, holdingFormat, flags)
	b = h.Balance.Append(b)
	return h.Held.Append(b)
}

// decodeHolding reads what encodeHolding wrote, and nothing else.
func decodeHolding(b []byte) (Holding, error) {
	if len(b) != holdingSize || b[0] != holdingFormat || b[1]&^flagFrozen != 0 {
		return Holding{}, fmt.Errorf("assets: %d bytes are no holding of a format this program knows", len(b))
	}
	h := Holding{
		Balance: amount.Decode(b[2:]),
		Held:    amount.Decode(b[2+amount.Size:]),
		Frozen:  b[1]&flagFrozen != 0,
	}
	if h == (Holding{}) {
		return Holding{}, fmt.Errorf("assets: a holding of nothing has a leaf")
	}
	return h, nil
}

func encodeSupply(a amount.Amount) []byte {
	return a.Append(append(make([]byte, 0, supplySize), supplyFormat))
}

// decodeSupply reads what encodeSupply wrote, and nothing else.
func decodeSupply(b []byte) (amount.Amount, error) {
	if len(b) != supplySize || b[0] != supplyFormat {
		return amount.Amount{}, fmt.Errorf("assets: %d bytes are no supply of a format this program knows", len(b))
	}
	return amount.Decode(b[1:]), nil
}
