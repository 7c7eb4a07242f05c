package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// minted is what each payer begins with.
const minted = 100_000_000

// payer is a client of one org that pays without a pause.
type payer struct {
	churn   *churn
	account string
	asset   string
	to      string
	// excused is set while the org may have lost its rights: then a refusal is no failure.
	excused atomic.Bool
	paid    atomic.Int64 // payments that were committed
	now     atomic.Pointer[payment]

	mu  sync.Mutex // held while a payment is under way
	key keys.PrivateKey

	// The rest belongs to the goroutine that pays until it has ended.
	receipts []receipt
	doubtful int // payments of which it is not known what became of them
	slowest  time.Duration
}

// payment is one that is under way.
type payment struct {
	id    tx.ID
	began time.Time
}

// receipt is a payment that a client was told is committed.
type receipt struct {
	id     tx.ID
	height uint64
	index  uint32
}

// startPaying gives an org money and a client that spends it.
func (c *churn) startPaying(org *churnOrg) {
	c.t.Helper()
	loaded, err := c.files.File.Keys(org.name + "/treasury")
	if err != nil {
		c.t.Fatal(err)
	}
	p := &payer{churn: c, account: org.name + "/treasury", asset: org.name + "/coin", to: org.admin(), key: loaded[0]}
	_, _, err = c.send(org.admin(), createAsset("", p.asset), mint("", p.asset, p.account, fmt.Sprint(minted)))
	if err != nil {
		c.t.Fatalf("%s cannot begin to pay: %v", org.name, err)
	}
	org.payer = p
	c.paying.Go(func() { p.run(c.life) })
}

func (p *payer) run(ctx context.Context) {
	version := int64(-1)
	var through *client.Client
	rest := time.NewTicker(50 * time.Millisecond)
	defer rest.Stop()
	for ctx.Err() == nil {
		if now := p.churn.version.Load(); now != version {
			if through != nil {
				_ = through.Close()
			}
			version, through = now, p.dial()
		}
		if refused := p.pay(ctx, through); refused {
			select {
			case <-rest.C:
			case <-ctx.Done():
			}
		}
	}
	_ = through.Close()
}

// dial makes a client of all nodes there are, also those that do not run or are suspended, that of the org first.
func (p *payer) dial() *client.Client {
	p.churn.listing.Lock()
	file := *p.churn.files.File
	file.Nodes = slices.Clone(p.churn.files.File.Nodes)
	p.churn.listing.Unlock()
	slices.SortStableFunc(file.Nodes, func(a, b client.Node) int {
		mine := func(n client.Node) int {
			if n.Org+"/treasury" == p.account {
				return 0
			}
			return 1
		}
		return mine(a) - mine(b)
	})
	made, err := client.Dial(&file, client.Config{})
	if err != nil {
		p.churn.t.Errorf("%s: %v", p.account, err)
	}
	return made
}

// pay makes one payment and waits for what becomes of it.
func (p *payer) pay(ctx context.Context, through *client.Client) (refused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	excused := p.excused.Load()
	raw, id, err := sign(p.churn.chainID, p.account, p.key, transfer(p.account, p.asset, p.to, "1"))
	if err != nil {
		p.churn.t.Error(err)
		return true
	}
	began := time.Now()
	p.now.Store(&payment{id, began})
	result, err := through.SubmitAndWait(ctx, raw)
	excused = excused || p.excused.Load()
	if !excused {
		p.slowest = max(p.slowest, time.Since(began))
	}
	switch no := new(client.Refused); {
	case ctx.Err() != nil:
		p.doubtful++
	case err == nil && result.OK():
		p.receipts = append(p.receipts, receipt{id, result.Outcome.Height, result.Outcome.Index})
		p.paid.Add(1)
	case excused && errors.As(err, &no) && no.Code == ledgerv1.Code_CODE_ORG_NOT_ACTIVE:
		return true
	case excused:
		p.doubtful++
	case err != nil:
		p.churn.t.Errorf("an honest payment of %s, %s, begun %s, failed after %v: %v",
			p.account, id, began.UTC().Format(time.RFC3339Nano), time.Since(began), err)
		return true
	default:
		p.churn.t.Errorf("an honest payment of %s, %s, begun %s, is %v after %v: %v",
			p.account, id, began.UTC().Format(time.RFC3339Nano), result.Status, time.Since(began), result.Outcome)
		return true
	}
	return false
}

// audit checks, when all payers have ended, that every node knows every payment that a client was told of, and that each
// was applied once.
func (c *churn) audit() {
	c.t.Helper()
	payments := 0
	for _, org := range c.orgs {
		p := org.payer
		payments += len(p.receipts)
		for _, n := range c.followers() {
			res, err := assetsv1.NewAssetsServiceClient(n.conn).GetBalance(c.t.Context(), &assetsv1.GetBalanceRequest{Asset: p.asset, Account: p.account})
			if err != nil {
				c.t.Fatal(err)
			}
			var left int
			if _, err := fmt.Sscan(res.Holding.Balance, &left); err != nil {
				c.t.Fatal(err)
			}
			if spent := minted - left; spent < len(p.receipts) || spent > len(p.receipts)+p.doubtful {
				c.t.Errorf("%s: %s has spent %d, was told of %d and is in doubt about %d", n.name, p.account, spent, len(p.receipts), p.doubtful)
			}
			for _, r := range p.receipts {
				res, err := n.ledger().GetTransaction(c.t.Context(), &ledgerv1.GetTransactionRequest{Id: r.id[:]})
				if err != nil {
					c.t.Fatal(err)
				}
				if res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED || res.Outcome.Height != r.height || res.Outcome.Index != r.index {
					c.t.Errorf("%s: payment %s was acknowledged at %d/%d and is %v", n.name, r.id, r.height, r.index, res)
				}
			}
		}
		c.t.Logf("%s: %d payments, %d in doubt, the slowest took %v", p.account, len(p.receipts), p.doubtful, p.slowest.Round(time.Millisecond))
	}
	c.t.Logf("%d payments on %d nodes", payments, len(c.followers()))
}
