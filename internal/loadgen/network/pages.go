package network

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/loadgen"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
)

const (
	// MaxPage is how many balances one call returns at most, which is the nodes' bound.
	MaxPage = 1000
	// readConnections is how many connections callers share.
	readConnections = 4
)

// Pages reads the balances of the workload's accounts from one node: pages of a listing, drawn at random, because no call names
// several accounts; or single balances. Close it when done.
type Pages struct {
	work                *Workload
	node                string
	keys                int
	pages               []page
	believing, checking []*client.Client
}

// page is a page of the listing of holders.
type page struct {
	token       string
	keys        int
	first, last string // accounts
}

// Pages returns what reads so many balances in a call from a node. token says as whom, nil for without a token.
func (w *Workload) Pages(node string, keys int, token *client.TokenSource) (*Pages, error) {
	p := &Pages{work: w, node: node, keys: keys}
	for range readConnections {
		for _, to := range []struct {
			clients    *[]*client.Client
			unverified bool
		}{{&p.believing, true}, {&p.checking, false}} {
			c, err := client.Dial(w.file, client.Config{Node: node, Token: token, Unverified: to.unverified})
			if err != nil {
				return nil, errors.Join(err, p.Close())
			}
			*to.clients = append(*to.clients, c)
		}
	}
	return p, nil
}

// Close closes all connections.
func (p *Pages) Close() error {
	var errs []error
	for _, c := range append(p.believing, p.checking...) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Describe says what is read.
func (p *Pages) Describe(proofs bool) string {
	what := fmt.Sprintf("pages of %d balances", p.keys)
	if p.keys == 1 {
		what = "single balances"
	}
	if proofs {
		what += " with proofs"
	}
	return fmt.Sprintf("%s, %d accounts", what, p.work.Accounts)
}

// Find looks up where the pages begin, once the accounts are there. Only pages that are full are read later, if there are any.
func (p *Pages) Find(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	q := &assetsv1.ListBalancesRequest{Asset: p.work.cash, MinHeight: p.work.made, PageSize: uint32(p.keys)}
	if p.keys == 1 {
		q.PageSize = MaxPage // balances are asked for by name
	}
	seen := 0
	for next := ""; ; {
		q.Page = next
		got, err := p.checking[0].Assets().ListBalances(ctx, q)
		if err != nil {
			return fmt.Errorf("find the accounts: %w", err)
		}
		found := page{token: next, keys: len(got.Holdings)}
		if found.keys > 0 {
			found.first, found.last = got.Holdings[0].Account, got.Holdings[found.keys-1].Account
			p.pages = append(p.pages, found)
		}
		seen += found.keys
		if next = got.NextPage; next == "" {
			break
		}
	}
	if seen != p.work.Accounts {
		return fmt.Errorf("find the accounts: %s lists %d, %d were made", p.node, seen, p.work.Accounts)
	}
	if last := len(p.pages) - 1; last > 0 && p.pages[last].keys < p.keys {
		p.pages = p.pages[:last]
	}
	return nil
}

// Read reads without proofs, and compares with what the accounts were given.
func (p *Pages) Read(ctx context.Context, caller int) (int, error) {
	return p.read(ctx, p.believing[caller%readConnections], false)
}

// ReadProven has the node prove its answers, and does not check the proofs.
func (p *Pages) ReadProven(ctx context.Context, caller int) (int, error) {
	return p.read(ctx, p.believing[caller%readConnections], true)
}

// ReadChecked has the node prove its answers, and checks the proofs.
func (p *Pages) ReadChecked(ctx context.Context, caller int) (int, error) {
	n, err := p.read(ctx, p.checking[caller%readConnections], true)
	if errors.Is(err, client.ErrLie) {
		err = fmt.Errorf("%w: %w", loadgen.ErrWrong, err)
	}
	return n, err
}

func (p *Pages) read(ctx context.Context, c *client.Client, prove bool) (int, error) {
	if p.keys == 1 {
		return p.one(ctx, c, prove)
	}
	from := p.pages[rand.IntN(len(p.pages))]
	got, err := c.Assets().ListBalances(ctx, &assetsv1.ListBalancesRequest{
		Asset: p.work.cash, Page: from.token, PageSize: uint32(p.keys), Prove: prove,
	})
	if err != nil {
		return 0, err
	}
	n := len(got.Holdings)
	if n != from.keys || got.Holdings[0].Account != from.first || got.Holdings[n-1].Account != from.last || prove && got.Proof == nil {
		return 0, fmt.Errorf("%w: %s lists other accounts from %s on than before", loadgen.ErrWrong, p.node, from.first)
	}
	for _, h := range got.Holdings {
		if h.Balance != funds {
			return 0, fmt.Errorf("%w: %s says that %s has %.40s, it was given %s", loadgen.ErrWrong, p.node, h.Account, h.Balance, funds)
		}
	}
	return n, nil
}

// one reads a single balance.
func (p *Pages) one(ctx context.Context, c *client.Client, prove bool) (int, error) {
	account := p.work.account(rand.IntN(p.work.Accounts))
	got, err := c.Assets().GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: p.work.cash, Account: account, Prove: prove})
	if err != nil {
		return 0, err
	}
	if h := got.GetHolding(); h.GetAccount() != account || h.GetBalance() != funds || prove && got.Proof == nil {
		return 0, fmt.Errorf("%w: %s says that %.70q has %.40s, asked was for %s, which was given %s",
			loadgen.ErrWrong, p.node, h.GetAccount(), h.GetBalance(), account, funds)
	}
	return 1, nil
}
