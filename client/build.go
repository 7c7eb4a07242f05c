package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
)

// Signer is an account and the keys it signs with.
type Signer struct {
	Account string
	Keys    []keys.PrivateKey
}

// CheckClock compares this machine's clock with that of the node that answers. It returns [ErrClock] if they are more than
// [MaxClockSkew] apart, give or take the time that the question took.
func (c *Client) CheckClock(ctx context.Context) error {
	began := c.config.Now()
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	took := c.config.Now().Sub(began)
	if status.Now == nil || status.Now.CheckValid() != nil {
		return fmt.Errorf("%w: %s does not say what time it is", ErrAnswer, status.Node)
	}
	skew := began.Add(took / 2).Sub(status.Now.AsTime())
	if skew.Abs()-took/2 > MaxClockSkew {
		direction := "ahead of"
		if skew < 0 {
			direction = "behind"
		}
		return fmt.Errorf("%w: this machine's is %v %s that of %s, %v are allowed: set the clock, then sign again",
			ErrClock, skew.Abs().Round(time.Second), direction, status.Node, MaxClockSkew)
	}
	return nil
}

// Build makes a transaction without signatures for the client's network. It compares the clocks first, because an expiry
// counted from a wrong clock is refused or never comes, and returns [ErrClock] if they differ.
func (c *Client) Build(ctx context.Context, draft Draft) (*Transaction, error) {
	if err := c.CheckClock(ctx); err != nil {
		return nil, err
	}
	return NewTransaction(c.network.ChainID, draft, c.config.Now(), c.config.Random)
}

// Listed returns those of an account's keys that the ledger lists for it, the heaviest first and no more than reach the
// account's threshold: keys that were rotated out or were never added would have the transaction refused. It returns
// [ErrNoKey] if there is none, and NOT_FOUND if there is no such account.
func (c *Client) Listed(ctx context.Context, account string, candidates []keys.PrivateKey) ([]keys.PrivateKey, error) {
	resp, err := c.Accounts().GetAccount(ctx, &accountsv1.GetAccountRequest{Name: account})
	if err != nil {
		return nil, fmt.Errorf("look %s up: %w", account, err)
	}
	if resp.GetAccount().GetName() != account {
		return nil, fmt.Errorf("%w: asked for account %s, got %.80q", ErrAnswer, account, resp.GetAccount().GetName())
	}
	type weighted struct {
		key    keys.PrivateKey
		weight uint32
	}
	var listed []weighted
	for _, k := range candidates {
		public := k.Public()
		i := slices.IndexFunc(resp.Account.Keys, func(w *accountsv1.WeightedKey) bool {
			return w.PublicKey.GetScheme() == keysv1.SignatureScheme(public.Scheme()) && slices.Equal(w.PublicKey.GetKey(), public.Bytes())
		})
		if i >= 0 {
			listed = append(listed, weighted{k, resp.Account.Keys[i].Weight})
		}
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("%w: the ledger lists none of the %d keys given for %s", ErrNoKey, len(candidates), account)
	}
	slices.SortStableFunc(listed, func(a, b weighted) int { return cmp.Compare(b.weight, a.weight) })
	var chosen []keys.PrivateKey
	var sum uint64
	for _, w := range listed {
		if sum >= uint64(resp.Account.Threshold) {
			break
		}
		chosen, sum = append(chosen, w.key), sum+uint64(w.weight)
	}
	return chosen, nil
}

// Send builds a transaction, signs it for every signer with those keys that the ledger lists, submits it and waits until
// its outcome is known, or ctx ends. A transaction that the ledger rejected is not an error: ask [Result.OK].
func (c *Client) Send(ctx context.Context, draft Draft, signers ...Signer) (*Result, error) {
	t, err := c.Build(ctx, draft)
	if err != nil {
		return nil, err
	}
	for _, s := range signers {
		listed, err := c.Listed(ctx, s.Account, s.Keys)
		if err != nil {
			return nil, err
		}
		if err := t.Sign(s.Account, listed...); err != nil {
			return nil, err
		}
	}
	raw, err := t.Encode()
	if err != nil {
		return nil, err
	}
	return c.SubmitAndWait(ctx, raw)
}
