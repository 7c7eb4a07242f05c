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
	entry, err := findEntry(b.view, t.ID)
	if err != nil {
		return err
	}
	if entry != nil {
		return tx.Reject(ledgerv1.Code_CODE_DUPLICATE, "transaction %s stands in block %d already", t.ID, entry.height)
	}
	if err := accounts.Authorize(accounts.Read(b.kv), t); err != nil {
		return err
	}
	if err := b.countLong(t); err != nil {
		return err
	}
	b.ids[t.ID] = struct{}{}
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
	default:
		return mempool.Drop
	}
}
