package verify

import (
	"fmt"
	"time"
)

// Report is what a receipt proves.
type Report struct {
	ChainID       string
	GenesisHash   [32]byte
	GenesisPinned bool
	Transaction   *Transaction
	Changes       int      // of validators that the lineage has
	Signers       []Signer // who signed the transaction's signed header, in the order of the set
	Validators    int      // how many the set has that decided that header
	SignedPower   uint64
	TotalPower    uint64
	Anchored      bool     // the anchor was given and holds
	NotProven     []string // in plain words: freshness, key compromise and so on
}

// Signer is a validator that signed.
type Signer struct {
	PublicKey []byte
	Power     uint64
	Time      time.Time // by its own clock
	Name, Org string    // as the genesis document lists the key, if it does
}

// say puts into words what nobody can know from the file.
func (r *Report) say(options ReceiptOptions, c *chain) {
	t := r.Transaction
	add := func(format string, args ...any) { r.NotProven = append(r.NotProven, fmt.Sprintf(format, args...)) }
	if !r.GenesisPinned {
		add("that this is the network you mean: nothing was given to compare its genesis hash %x with", r.GenesisHash)
	}
	// A header that is trusted names all before it by their hashes. Nobody's keys matter for those.
	named := r.Anchored && options.AnchorHeight >= t.Signed.Height && options.AnchorHeight <= c.last
	switch {
	case named:
	case r.Anchored:
		add("that nobody has got hold of the keys of validators with more than two thirds of the voting power of a height from %d to %d, then or since",
			options.AnchorHeight+1, t.Signed.Height)
	default:
		add("that nobody has got hold of the keys of validators with more than two thirds of the voting power of a height up to %d, then or since: "+
			"a later header that you trust would rule it out", t.Signed.Height)
	}
	add("what came after: the receipt shows the ledger as it was at height %d, and a later transaction may have undone what this one did", t.Header.Height)
	add("that the time of the block is right: it is what the validators' clocks said")
	add("that the accounts' signatures under the transaction are right: the validators have checked them")
	if t.Code != 0 {
		add("why it was rejected, beyond the code")
	}
	if !t.PlaceProven {
		add("that it was transaction %d of its block, counted from 0, as the file says: how many stood before it does not follow from the hashes", t.Index)
	}
	if t.State == nil {
		add("which state it left: the receipt has no proof of it")
	}
}
