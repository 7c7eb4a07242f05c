package app

import (
	"errors"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/mempool"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// leafOverhead is what a leaf of the state costs beside its key and value: the inner nodes above it, in bytes.
const leafOverhead = 64

// nodeChange is what a change of a node leaves in the state, in bytes: an estimate.
const nodeChange = 1024

// growth is how many bytes of state a transaction makes that nobody ever frees, counted from its own bytes alone, so that
// it can be part of a block's validity: the size of what it creates, and an overhead for each thing. Holdings that a
// transfer creates are not counted: there are no more of them than accounts times assets, and both are. free is the part
// that no limit refuses: an org that has reached its limit must still be able to change its keys.
func growth(t *tx.Tx) (sum, free uint64) {
	for _, op := range t.Body.Operations {
		size := 0
		switch k := op.Kind.(type) {
		case *ledgerv1.Operation_AccountCreate:
			size = k.AccountCreate.SizeVT()
		case *ledgerv1.Operation_AssetCreate:
			size = k.AssetCreate.SizeVT()
		case *ledgerv1.Operation_RecordSetCollection:
			size = k.RecordSetCollection.SizeVT()
		case *ledgerv1.Operation_RecordPut:
			size = k.RecordPut.SizeVT()
		case *ledgerv1.Operation_NodeAdd, *ledgerv1.Operation_NodeRemove, *ledgerv1.Operation_NodeSetAddresses,
			*ledgerv1.Operation_NodeSetPower, *ledgerv1.Operation_NodeRotateKey, *ledgerv1.Operation_ValidatorRotateKey:
			// An entry of the history, which holds the node, and perhaps a key that is never forgotten.
			free += nodeChange
			size = nodeChange - leafOverhead
		case *ledgerv1.Operation_ProposalCreate:
			size = k.ProposalCreate.SizeVT()
			free += uint64(size) + leafOverhead
		default:
			continue
		}
		sum += uint64(size) + leafOverhead
	}
	return sum, free
}

const (
	// maxDeliberation bounds what a transaction may ask of governance and the registry, and orgDeliberation what all of an
	// org's in a block may. Such operations cost more than their bytes and signatures say: a vote rewrites its proposal,
	// a change of nodes the seats of all validators.
	maxDeliberation = 40
	orgDeliberation = 120
)

// deliberation is what a transaction asks of governance and the registry: one for each operation, and one for each that is
// put to the vote.
func deliberation(t *tx.Tx) (weight int) {
	for _, op := range t.Body.Operations {
		switch k := op.Kind.(type) {
		case *ledgerv1.Operation_ProposalCreate:
			weight += 1 + len(k.ProposalCreate.Operations)
		case *ledgerv1.Operation_ProposalVote, *ledgerv1.Operation_ProposalWithdraw,
			*ledgerv1.Operation_NodeAdd, *ledgerv1.Operation_NodeRemove, *ledgerv1.Operation_NodeSetAddresses,
			*ledgerv1.Operation_NodeSetPower, *ledgerv1.Operation_NodeRotateKey, *ledgerv1.Operation_ValidatorRotateKey:
			weight++
		}
	}
	return weight
}

// quotas counts what the orgs that pay use of a block.
type quotas struct {
	byOrg map[string]*quota
	list  []*quota // in the order in which they came up
}

type quota struct {
	org        string
	blockBytes uint64 // of the transactions admitted so far
	weight     int    // deliberation of the same
	admitted   uint64 // bytes of state that they make if all are applied
	applied    uint64 // bytes of state that those that were applied have made
}

func (q *quotas) of(org string) *quota {
	used := q.byOrg[org]
	if used == nil {
		if q.byOrg == nil {
			q.byOrg = make(map[string]*quota)
		}
		used = &quota{org: org}
		q.byOrg[org] = used
		q.list = append(q.list, used)
	}
	return used
}

// admissible rejects with ORG_BLOCK_FULL or STORAGE_FULL what the org that pays has no room for. kv is the state before
// the block.
func (q *quotas) admissible(kv exec.Reader, t *tx.Tx, charter *governancev1.Charter) error {
	used := q.of(t.PayerOrg)
	if bytes := used.blockBytes + uint64(mempool.SizeInBlock(len(t.Raw))); bytes > charter.OrgBlockBytes {
		return tx.Reject(ledgerv1.Code_CODE_ORG_BLOCK_FULL,
			"the transactions of %s in this block would have %d bytes, the charter allows %d: wait for the next block",
			t.PayerOrg, bytes, charter.OrgBlockBytes)
	}
	if weight := used.weight + deliberation(t); weight > orgDeliberation {
		return tx.Reject(ledgerv1.Code_CODE_ORG_BLOCK_FULL,
			"the transactions of %s in this block would hold %d votes, changes of nodes and proposed operations, at most %d are allowed: "+
				"wait for the next block", t.PayerOrg, weight, orgDeliberation)
	}
	err := checkStored(kv, t, used.admitted, charter)
	if errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_STORAGE_FULL}) && checkStored(kv, t, 0, charter) == nil {
		// It may fit when those before it have not been applied.
		return tx.Reject(ledgerv1.Code_CODE_ORG_BLOCK_FULL, "%v: wait for the next block", err)
	}
	return err
}

// checkStored rejects with STORAGE_FULL a transaction that would take the org that pays above its share of the state, given
// what is on its way already.
func checkStored(kv exec.Reader, t *tx.Tx, underWay uint64, charter *governancev1.Charter) error {
	sum, free := growth(t)
	more, most := sum-free, charter.OrgStoredBytes
	if more == 0 {
		// Keys must change and nodes be struck when the org has used its share, but not without end.
		more, most = free, most+most/16
	}
	if more == 0 {
		return nil
	}
	stored, err := accounts.Read(kv).Stored(t.PayerOrg)
	if err != nil {
		return err
	}
	if stored+underWay+more > most {
		return tx.Reject(ledgerv1.Code_CODE_STORAGE_FULL,
			"%s has made %d bytes of state, this would add %d, the charter allows %d: have the members raise org_stored_bytes",
			t.PayerOrg, stored+underWay, more, most)
	}
	return nil
}

// admit books an admitted transaction.
func (q *quotas) admit(t *tx.Tx) {
	used := q.of(t.PayerOrg)
	used.blockBytes += uint64(mempool.SizeInBlock(len(t.Raw)))
	used.weight += deliberation(t)
	sum, _ := growth(t)
	used.admitted += sum
}

// applied books a transaction that was applied.
func (q *quotas) applied(t *tx.Tx) {
	sum, _ := growth(t)
	q.of(t.PayerOrg).applied += sum
}

// remember writes what the block has made into the state.
func (q *quotas) remember(kv exec.KV) error {
	for _, used := range q.list {
		if used.applied == 0 {
			continue
		}
		if err := accounts.Open(kv).AddStored(used.org, used.applied); err != nil {
			return err
		}
	}
	return nil
}
