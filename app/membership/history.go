package membership

import (
	"github.com/althing-ledger/althing/app/exec"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// MaxChanges is how often an org may change one of its nodes in one block. A vote may more often.
const MaxChanges = 16

// Kinds of changes.
const (
	kindAdd          = "node.add"
	kindRemove       = "node.remove"
	kindAddresses    = "node.addresses"
	kindPower        = "node.power"
	kindNodeKey      = "node.node-key"
	kindValidatorKey = "node.validator-key"
	kindConvicted    = "node.convicted"
	kindOrgAdmit     = "org.admit"
	kindOrgSuspend   = "org.suspend"
	kindOrgResume    = "org.resume"
	kindOrgRemove    = "org.remove"
	kindOrgAllotment = "org.allotment"
)

// change begins an entry of the history about what an operation does. effective is the first block that it shapes.
func change(env *exec.Env, kind, org string, effective uint64) *membershipv1.Change {
	c := &membershipv1.Change{
		Height: env.Height, EffectiveHeight: effective, TimeUnixNano: env.Time, Kind: kind,
		Proposal: env.Proposal, TxId: env.TxID[:], Org: org,
	}
	if env.Proposal == 0 {
		c.Account = env.Account
	}
	return c
}

// remember appends to the history of a node or an org.
func (s Store) remember(of, name string, c *membershipv1.Change) error {
	prefix := changesOf(of, name, c.Height)
	n, err := s.firstFree(prefix)
	if err != nil {
		return err
	}
	if c.Account != "" && n >= MaxChanges {
		return tx.Reject(ledgerv1.Code_CODE_LIMIT_REACHED, "%s has been changed %d times in this block: wait for the next one",
			name, n)
	}
	return exec.Put(s.out, keyspace.Uint64(prefix, n), c)
}

// firstFree returns the smallest number under which nothing stands, where numbers are given without a gap. It reads about
// twice the logarithm of it, so that whoever writes many entries in a block does not make each the slower.
func (r Reader) firstFree(prefix []byte) (uint64, error) {
	taken := func(n uint64) (bool, error) {
		value, err := r.kv.Get(keyspace.Uint64(prefix[:len(prefix):len(prefix)], n))
		return value != nil, err
	}
	low, high := uint64(0), uint64(1) // below low all are taken
	for {
		is, err := taken(high - 1)
		if err != nil {
			return 0, err
		}
		if !is {
			break
		}
		low, high = high, 2*high
	}
	for high--; low < high; {
		middle := low + (high-low)/2
		is, err := taken(middle)
		if err != nil {
			return 0, err
		}
		if is {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
