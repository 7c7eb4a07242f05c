package grpcapi

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestNoPlaceToWait submits where nobody may wait: the transaction is pending, not refused; who waits is told to come back,
// and what is final needs no place.
func TestNoPlaceToWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	s := w.ledger(0)
	raw, id, expiresAt := w.create("acme/usd")
	for range 2 {
		res, err := s.Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
		if err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_PENDING || string(res.Id) != string(id[:]) {
			t.Fatalf("submitted: %v %v", res, err)
		}
	}
	wait := &ledgerv1.WaitTransactionRequest{Id: id[:], ExpiresAt: timestamppb.New(expiresAt)}
	_, err := s.WaitTransaction(t.Context(), wait)
	if reason, retry := whyOf(err); status.Code(err) != codes.ResourceExhausted || reason != "FULL" || retry <= 0 {
		t.Errorf("waited: %v", err)
	}
	w.decide(2, raw)
	if res, err := s.WaitTransaction(t.Context(), wait); err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
		t.Errorf("waited for what is final: %v %v", res, err)
	}
	if res, err := s.Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw, Wait: true}); err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
		t.Errorf("submitted what is final: %v %v", res, err)
	}
}

// TestWaitersOfOneClient lets one client wait as often as it may, which leaves room for another.
func TestWaitersOfOneClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	s := w.ledger(4)
	raw, id, _ := w.create("acme/usd")
	type answer struct {
		res *ledgerv1.SubmitResponse
		err error
	}
	answers := make(chan answer, 2)
	begin := func(ip string, waiting int) {
		go func() {
			res, err := s.Submit(from(t, ip), &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
			answers <- answer{res, err}
		}()
		for w.app.Waiting() < waiting && t.Context().Err() == nil {
		}
	}
	begin("10.0.0.1", 1)
	if _, err := s.WaitTransaction(from(t, "10.0.0.1"), &ledgerv1.WaitTransactionRequest{Id: id[:]}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a second wait of one client: %v", err)
	}
	begin("10.0.0.2", 2)
	w.decide(2, raw)
	for range 2 {
		if a := <-answers; a.err != nil || a.res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
			t.Errorf("who waited: %v %v", a.res, a.err)
		}
	}
	if s.waiters.taken != 0 {
		t.Errorf("%d places are still taken", s.waiters.taken)
	}
}

// TestBoundWait bounds exactly the waits that nothing else bounds.
func TestBoundWait(t *testing.T) {
	t.Parallel()
	ctx, cancel := boundWait(t.Context(), 0)
	defer cancel()
	if at, bounded := ctx.Deadline(); !bounded || time.Until(at) > maxWait {
		t.Errorf("without anything: %v %v", at, bounded)
	}
	known, cancel := boundWait(t.Context(), 1)
	defer cancel()
	if _, bounded := known.Deadline(); bounded {
		t.Error("the expiry ends the wait, the deadline is one too many")
	}
	again, cancel := boundWait(ctx, 0)
	defer cancel()
	if again != ctx {
		t.Error("the caller's deadline is replaced")
	}
}

// TestReasonsInAStream submits to a pool with room for one transaction: each answer has its reason, also where that is no
// code.
func TestReasonsInAStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{MaxTxs: 1})
	client := ledgerv1.NewLedgerServiceClient(dial(t, w.serve(func(*Config) {})))
	stream, err := client.SubmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := w.create("acme/usd")
	second, _, _ := w.create("acme/eur")
	for _, c := range []struct {
		raw    []byte
		code   ledgerv1.Code
		reason string
	}{
		{raw: first},
		{raw: second, reason: "FULL"},
		{raw: first[:len(first)-1], reason: "FULL"}, // There is no room for anything, so it is not looked at.
	} {
		if err := stream.Send(&ledgerv1.SubmitStreamRequest{Tx: c.raw}); err != nil {
			t.Fatal(err)
		}
		res, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if res.RefusedCode != uint32(c.code) || res.RefusedReason != c.reason || (c.reason == "FULL") != (res.RetryAfterMs > 0) {
			t.Errorf("want %q: %v", c.reason, res)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v", err)
	}
}

// TestWatchOfTheFuture asks for blocks that are not the next one.
func TestWatchOfTheFuture(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	client := ledgerv1.NewLedgerServiceClient(dial(t, w.serve(func(*Config) {})))
	stream, err := client.Watch(t.Context(), &ledgerv1.WatchRequest{FromHeight: 3})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if reason, _ := whyOf(err); status.Code(err) != codes.OutOfRange || reason != "FUTURE" {
		t.Errorf("two blocks ahead: %v", err)
	}
}
