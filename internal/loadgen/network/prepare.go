package network

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/loadgen"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

const (
	// funds is what every account gets of each asset.
	funds = "1000000000000"
	// perAccount is how many operations create and fund an account at most.
	perAccount = 3
	// maxBytesEach bounds what one account adds to the transaction that creates it.
	maxBytesEach = 600
	// prepareInFlight is how many transactions that create accounts are under way.
	prepareInFlight = 256
	// prepareTime bounds the preparation, apart from what the accounts take.
	prepareTime = 2 * time.Minute
	// slowest is how many accounts a second are created at least, for the deadline.
	slowest = 500
)

// Prepare creates the assets and the accounts, and funds them, with as many operations in a transaction as the charter allows.
func (w *Workload) Prepare(ctx context.Context, target loadgen.Target, progress loadgen.Progress) error {
	t, ok := target.(*Target)
	if !ok {
		return fmt.Errorf("%w: accounts of a ledger are not for a target of another kind", ErrOptions)
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTime+time.Duration(w.Accounts)*time.Second/slowest)
	defer cancel()
	if err := t.all.CheckClock(ctx); err != nil {
		return err
	}
	charter, err := t.all.Governance().GetCharter(ctx, &governancev1.GetCharterRequest{})
	if err != nil {
		return fmt.Errorf("read the charter: %w", err)
	}
	create := func(asset string) *ledgerv1.Operation {
		return w.asIssuer(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: asset}}})
	}
	assets, err := w.asAdmins(0, create(w.cash), create(w.paper))
	if err != nil {
		return err
	}
	if result, err := t.all.SubmitAndWait(ctx, assets); err != nil {
		return fmt.Errorf("create the assets: %w", err)
	} else if !result.OK() {
		return fmt.Errorf("create the assets: %s", result.Outcome.GetMessage())
	}
	each := min(int(charter.GetCharter().GetMaxOperations())/perAccount, int(charter.GetCharter().GetMaxTxBytes())/maxBytesEach/perAccount)
	if each < 1 {
		return fmt.Errorf("%w: the charter allows %d operations in a transaction, an account takes %d", ErrOptions, charter.GetCharter().GetMaxOperations(), perAccount)
	}
	if err := w.create(ctx, t.all, each, progress); err != nil {
		return err
	}
	w.made = t.all.SeenHeight()
	return nil
}

// create creates and funds the accounts, so many in each transaction.
func (w *Workload) create(ctx context.Context, c *client.Client, each int, progress loadgen.Progress) error {
	var broken error // of making a transaction
	done := 0
	for result := range c.SubmitAll(ctx, w.creations(each, &broken), client.BatchOptions{InFlight: prepareInFlight}) {
		if result.Err != nil {
			return fmt.Errorf("create the accounts: %w", result.Err)
		}
		if !result.Result.OK() {
			return fmt.Errorf("create the accounts: %s", result.Result.Outcome.GetMessage())
		}
		done = min(done+each, w.Accounts)
		progress("create accounts", done, w.Accounts)
	}
	return errors.Join(broken, ctx.Err())
}

// creations makes the transactions that create the accounts. Organisations take turns, because each has its share of a block.
func (w *Workload) creations(each int, broken *error) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		orgs := len(w.orgs)
		for begin := 0; begin < w.Accounts; begin += each * orgs {
			for org := range orgs {
				var operations []*ledgerv1.Operation
				for i := begin + org; i < min(begin+each*orgs, w.Accounts); i += orgs {
					operations = append(operations, w.creation(org, i)...)
				}
				if len(operations) == 0 {
					continue
				}
				raw, err := w.asAdmins(org, operations...)
				if err != nil {
					*broken = err
					return
				}
				if !yield(raw) {
					return
				}
			}
		}
	}
}

// creation returns the operations that create and fund an account.
func (w *Workload) creation(org, i int) []*ledgerv1.Operation {
	account := &accountsv1.Create{Name: w.account(i), Threshold: 1}
	public := w.rest.Public()
	if i < w.Senders() {
		public, account.Roles = w.keys[i].Public(), []string{"payer", "writer"}
	}
	account.Keys = []*accountsv1.WeightedKey{{
		PublicKey: &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(public.Scheme()), Key: public.Bytes()}, Weight: 1,
	}}
	operations := []*ledgerv1.Operation{
		{Account: w.orgs[org] + "/admin", Kind: &ledgerv1.Operation_AccountCreate{AccountCreate: account}},
		w.mint(w.cash, account.Name),
	}
	if i < w.Senders() && (w.Kind == DVP || w.Kind == Mixed) {
		operations = append(operations, w.mint(w.paper, account.Name))
	}
	return operations
}

func (w *Workload) mint(asset, to string) *ledgerv1.Operation {
	return w.asIssuer(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: asset, To: to, Amount: funds}}})
}

func (w *Workload) asIssuer(op *ledgerv1.Operation) *ledgerv1.Operation {
	op.Account = w.orgs[0] + "/admin"
	return op
}

// asAdmins makes a transaction that the admin of an organisation and the issuer sign.
func (w *Workload) asAdmins(org int, operations ...*ledgerv1.Operation) ([]byte, error) {
	t, err := client.NewTransaction(w.file.ChainID, client.Draft{Operations: operations}, time.Now(), rand.Reader)
	if err != nil {
		return nil, err
	}
	for _, account := range t.Signers() {
		key := w.admins[0]
		if account != w.orgs[0]+"/admin" {
			key = w.admins[org]
		}
		if err := t.Sign(account, key); err != nil {
			return nil, err
		}
	}
	return t.Encode()
}
