package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/internal/home"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// does takes a step of the churn as soon as it makes sense.
func (c *churn) does(name string, step func(*churn) error) {
	c.t.Helper()
	c.until(name, func(context.Context) error {
		err := step(c)
		var no *refusal
		if errors.Is(err, errNotNow) || errors.As(err, &no) {
			return err
		}
		if err != nil {
			c.t.Fatalf("%s: %v", name, err)
		}
		return nil
	})
	c.note("%s %s", name, c.did)
	c.settle()
}

// agreeOn reads the lineage of every follower and checks that all tell the same, up to the lowest height that all know of.
func (c *churn) agreeOn(least int) *proofv1.Lineage {
	c.t.Helper()
	var longest *proofv1.Lineage
	for i, n := range c.followers() {
		lineage, _, newest := n.lineage(uint32(i)) // in pages of so many
		auditorOf(c.t, lineage).signed(newest)
		if longest == nil {
			longest = lineage
			continue
		}
		short, long := lineage, longest
		if len(short.Links) > len(long.Links) {
			short, long = long, short
		}
		for j, link := range short.Links {
			if !proto.Equal(link, long.Links[j]) {
				c.t.Errorf("%s tells another change %d", n.name, j)
			}
		}
		longest = long
	}
	if len(longest.Links) < least {
		c.t.Errorf("the validators have changed %d times, at least %d times were wanted", len(longest.Links), least)
	}
	return longest
}

// TestLineage changes the validators in every way there is, restarts and replaces nodes meanwhile, and verifies from the genesis
// document on what signed each block, on every node: also on one that joined late, and on one that has forgotten the blocks.
func TestLineage(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := newChurn(t, seed, 4)
	early := c.must(c.all[0].member, createAsset("acme/admin", "acme/gold"), mint("acme/admin", "acme/gold", "acme/treasury", "100"))
	a := auditorOf(t, c.agreeOn(0))
	a.transaction(early, c.all[1].prove(early.Id, true).Proof)

	c.does("rotate a validator key", (*churn).rotateValidatorKey)
	c.does("rotate a node key", (*churn).rotateNodeKey)
	c.does("admit an org", (*churn).admitOrg)
	c.does("set a power", (*churn).setPower)
	restarted := pick(c, slices.DeleteFunc(c.followers(), func(n *churnNode) bool { return !c.suffices([]*churnNode{n}, nil) }))
	restarted.stop()
	c.does("rotate a validator key", (*churn).rotateValidatorKey)
	c.run(restarted)
	c.settle()
	c.does("replace a node", (*churn).replaceNode)
	c.does("remove an org", (*churn).removeOrg)
	c.does("rotate a validator key", (*churn).rotateValidatorKey)
	lineage := c.agreeOn(5)

	// The first transaction is still provable, by a lineage that has grown, on a node that has all blocks.
	a = auditorOf(t, lineage)
	for _, n := range c.followers() {
		a.transaction(early, n.prove(early.Id, false).Proof)
	}
	last := a.until[len(a.until)-1]

	forgetful := pick(c, c.followers())
	forgetful.stop()
	reconfigure(t, forgetful.home, func(cfg *home.Config) { cfg.State.KeepHeights, cfg.State.KeepFor = 2, home.Duration(time.Second) })
	c.run(forgetful)
	c.until("a node has forgotten the blocks that the lineage stands on", func(ctx context.Context) error {
		status, err := forgetful.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
		if err == nil && status.OldestBlock <= uint64(last)+1 {
			err = fmt.Errorf("its oldest block is %d of %d", status.OldestBlock, status.Height)
		}
		return err
	})
	forgetful.stop()
	c.run(forgetful)
	c.follows(forgetful, 1)
	kept, _, newest := forgetful.lineage(2)
	auditorOf(t, kept).signed(newest)
	if len(kept.Links) < len(lineage.Links) {
		t.Errorf("without the blocks the node knows of %d changes, others of %d", len(kept.Links), len(lineage.Links))
	}
	for i, link := range lineage.Links {
		if !proto.Equal(link, kept.Links[i]) {
			t.Errorf("without the blocks the node tells another change %d", i)
		}
	}
	_, err := forgetful.ledger().GetTransaction(t.Context(), &ledgerv1.GetTransactionRequest{Id: early.Id, Prove: true})
	if status.Code(err) != codes.FailedPrecondition || reasonOf(err) != "PRUNED" {
		t.Errorf("the proof of a transaction in a forgotten block: %v", err)
	}
	if _, err := forgetful.ledger().GetLineage(t.Context(), &ledgerv1.GetLineageRequest{PageSize: 1001}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a page of 1,001 changes: %v", err)
	}
}
