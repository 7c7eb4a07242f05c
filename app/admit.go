package app

import (
	"time"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// admit decides whether a transaction may stand in the block. It looks at the state before the block, the block's time and
// what the block has admitted so far, so every node comes to the same answer in the same order. A [tx.Rejection] makes
// a proposal invalid; in a decided block the transaction has no effect.
func (b *block) admit(v mempool.Verdict) error {
	if v.Err != nil {
		return v.Err
	}
	t := v.Tx
	b.running = t
	if err := b.fits(t); err != nil {
		return err
	}
	if t.ExpiresAt <= b.time {
		return tx.Reject(ledgerv1.Code_CODE_EXPIRED, "the transaction expired at %s, the block's time is %s: sign it anew",
			utc(t.ExpiresAt), utc(b.time))
	}
	if furthest := b.time + int64(seconds(b.rules.charter.MaxExpirySeconds)); t.ExpiresAt > furthest {
		return tx.Reject(ledgerv1.Code_CODE_EXPIRY_TOO_DISTANT, "the transaction expires at %s, the charter allows %s at most",
			utc(t.ExpiresAt), utc(furthest))
	}
	if _, twice := b.ids[t.ID]; twice {
		return tx.Reject(ledgerv1.Code_CODE_DUPLICATE, "transaction %s stands twice in the block", t.ID)
	}
	if !b.repeats.rulesOut(t.ID, t.ExpiresAt) {
		entry, err := findEntry(b.view, t.ID)
		if err != nil {
			return err
		}
		if entry != nil {
			return tx.Reject(ledgerv1.Code_CODE_DUPLICATE, "transaction %s stands in block %d already", t.ID, entry.height)
		}
	}
	if err := accounts.Authorize(accounts.Read(b.kv), t); err != nil {
		return err
	}
	charter := b.rules.charter
	if err := b.quotas.admissible(b.kv, t, charter); err != nil {
		return err
	}
	if err := b.countLong(t); err != nil {
		return err
	}
	b.quotas.admit(t)
	b.ids[t.ID] = struct{}{}
	return nil
}

// fits checks a transaction against the limits of the block. The verdict on it may have been reached under earlier ones.
func (b *block) fits(t *tx.Tx) error {
	l := b.rules.limits
	if uint64(len(t.Raw)) > l.Bytes || len(t.Body.Operations) > int(l.Operations) || len(t.Signatures) > int(l.Signatures) {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE, "the transaction has %d bytes, %d operations and %d signatures; the charter allows %d, %d and %d",
			len(t.Raw), len(t.Body.Operations), len(t.Signatures), l.Bytes, l.Operations, l.Signatures)
	}
	return nil
}

func utc(nanoseconds int64) string {
	return time.Unix(0, nanoseconds).UTC().Format(time.RFC3339)
}

// use says what becomes of a pending transaction that a block did not admit.
func use(err error) mempool.Use {
	code, _ := tx.CodeOf(err)
	switch code {
	case ledgerv1.Code_CODE_OK:
		return mempool.Take
	case ledgerv1.Code_CODE_EXPIRY_TOO_DISTANT, ledgerv1.Code_CODE_TOO_MANY_LONG_EXPIRIES:
		return mempool.Keep
	case ledgerv1.Code_CODE_ORG_BLOCK_FULL:
		return mempool.KeepOrg
	default:
		return mempool.Drop
	}
}
