package app

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

const (
	leafFormat = 1
	// forgetPerBlock is the most leaves of ids that one block forgets. One block writes one, so two keep pace and catch up.
	forgetPerBlock = 2
)

var idsTag = keys.NewTag("althing/block-ids/v1")

// remembered is a transaction that the ledger refuses to repeat until it has expired.
type remembered struct {
	id        tx.ID
	expiresAt int64 // nanoseconds since 1970, UTC
}

// idsKey orders the leaves by the time at which they may be forgotten.
func idsKey(lastExpiry int64, height uint64) []byte {
	return keyspace.Uint64(keyspace.Uint64(keyspace.Key(keyspace.PrefixBlockIDs), uint64(lastExpiry)), height)
}

// idsLeaf is what the tree keeps of a block's ids: their digest, which binds the list that nodes keep beside the tree, and
// their number.
func idsLeaf(ids []remembered) (lastExpiry int64, leaf []byte) {
	list := make([]byte, 0, len(ids)*40)
	for _, r := range ids {
		list = append(list, r.id[:]...)
		list = binary.BigEndian.AppendUint64(list, uint64(r.expiresAt))
		lastExpiry = max(lastExpiry, r.expiresAt)
	}
	digest := idsTag.Hash(list)
	leaf = append(make([]byte, 0, 37), leafFormat)
	leaf = append(leaf, digest[:]...)
	return lastExpiry, binary.BigEndian.AppendUint32(leaf, uint32(len(ids)))
}

// rememberIDs writes the leaf of a block and forgets the oldest leaves whose transactions have all expired.
func (b *block) rememberIDs(ids []remembered) error {
	last, leaf := idsLeaf(ids)
	b.kv.Set(idsKey(last, b.height), leaf)
	forgotten := 0
	start, end := keyspace.PrefixRange(keyspace.Key(keyspace.PrefixBlockIDs))
	return b.view.Scan(start, end, func(key, _ []byte) (bool, error) {
		if forgotten == forgetPerBlock || int64(binary.BigEndian.Uint64(key[1:])) > b.time {
			return false, nil
		}
		b.kv.Delete(key)
		forgotten++
		return true, nil
	})
}

// longExpiries counts the transactions of one org whose expiry lies far ahead, by the hour in which they expire. It exists
// because such ids must be remembered long. There are as many hours as an expiry may lie ahead: a month, by the bounds of
// the charter.
type longExpiries []longBucket

type longBucket struct {
	hour  uint32 // since 1970
	count uint32
}

func hourOf(nanoseconds int64) uint32 { return uint32(nanoseconds / int64(time.Hour)) }

func longKey(org string) []byte { return keyspace.Key(keyspace.PrefixLongExpiry, org) }

func readLong(kv exec.Reader, org string) (longExpiries, error) {
	leaf, err := kv.Get(longKey(org))
	if err != nil || leaf == nil {
		return nil, err
	}
	if leaf[0] != leafFormat || len(leaf)%8 != 1 {
		return nil, fmt.Errorf("read the long expiries of %s: unknown value format", org)
	}
	var counts longExpiries
	for rest := leaf[1:]; len(rest) > 0; rest = rest[8:] {
		counts = append(counts, longBucket{binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])})
	}
	return counts, nil
}

func (l longExpiries) in(hour uint32) uint32 {
	for _, bucket := range l {
		if bucket.hour == hour {
			return bucket.count
		}
	}
	return 0
}

// add counts one more transaction that expires in an hour and drops the hours before now.
func (l longExpiries) add(hour, now uint32) longExpiries {
	kept := make(longExpiries, 0, len(l)+1)
	placed := false
	for _, bucket := range l {
		if bucket.hour < now {
			continue
		}
		if !placed && bucket.hour >= hour {
			placed = true
			if bucket.hour == hour {
				bucket.count++
			} else {
				kept = append(kept, longBucket{hour, 1})
			}
		}
		kept = append(kept, bucket)
	}
	if !placed {
		kept = append(kept, longBucket{hour, 1})
	}
	return kept
}

func (l longExpiries) encode() []byte {
	leaf := append(make([]byte, 0, 1+8*len(l)), leafFormat)
	for _, bucket := range l {
		leaf = binary.BigEndian.AppendUint32(leaf, bucket.hour)
		leaf = binary.BigEndian.AppendUint32(leaf, bucket.count)
	}
	return leaf
}

// countLong refuses a transaction with a long expiry when its org has too many in that hour, and counts it otherwise.
func (b *block) countLong(t *tx.Tx) error {
	if t.ExpiresAt-b.time <= int64(seconds(b.rules.charter.LongExpirySeconds)) {
		return nil
	}
	counts, known := b.long[t.PayerOrg]
	if !known {
		var err error
		if counts, err = readLong(b.kv, t.PayerOrg); err != nil {
			return err
		}
	}
	hour := hourOf(t.ExpiresAt)
	if counts.in(hour) >= b.rules.charter.LongExpiriesPerOrg {
		return tx.Reject(ledgerv1.Code_CODE_TOO_MANY_LONG_EXPIRIES,
			"%s has %d transactions that expire more than %s ahead in the same hour: sign with a shorter expiry",
			t.PayerOrg, counts.in(hour), seconds(b.rules.charter.LongExpirySeconds))
	}
	b.long[t.PayerOrg] = counts.add(hour, hourOf(b.time))
	b.longOrgs = appendOnce(b.longOrgs, t.PayerOrg)
	return nil
}

// rememberLong writes the counters that the block's transactions changed.
func (b *block) rememberLong() {
	for _, org := range b.longOrgs {
		b.kv.Set(longKey(org), b.long[org].encode())
	}
}

func appendOnce(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}
