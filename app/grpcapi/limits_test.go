package grpcapi

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestRefusedAtTheHeader calls more often than allowed: the answer comes before the request is sent, unless the call has
// a long deadline, and says when to come back.
func TestRefusedAtTheHeader(t *testing.T) {
	t.Parallel()
	address := newWorld(t, mempool.Config{}).serve(func(c *Config) { c.RatePerClient, c.Burst = 0.001, 1 })
	conn := dial(t, address)
	if _, err := ledgerv1.NewLedgerServiceClient(conn).GetStatus(t.Context(), &ledgerv1.GetStatusRequest{}); err != nil {
		t.Fatal(err)
	}
	begin := func(ctx context.Context) grpc.ClientStream {
		// As a stream, so that the request can stay away.
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, ledgerv1.LedgerService_Submit_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	check := func(name string, err error) {
		t.Helper()
		if reason, retry := whyOf(err); status.Code(err) != codes.ResourceExhausted || reason != "RATE" || retry <= 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	check("without a deadline", begin(t.Context()).RecvMsg(new(ledgerv1.SubmitResponse)))
	short, cancel := context.WithTimeout(t.Context(), leakFor-time.Second)
	defer cancel()
	check("with a short deadline", begin(short).RecvMsg(new(ledgerv1.SubmitResponse)))
	long, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	stream := begin(long)
	if err := stream.SendMsg(&ledgerv1.SubmitRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	check("with a long deadline", stream.RecvMsg(new(ledgerv1.SubmitResponse)))
	watch, err := ledgerv1.NewLedgerServiceClient(conn).Watch(long, &ledgerv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = watch.Recv()
	check("a stream with a long deadline", err)
}

// TestRateOfOneClient does not slow another one down.
func TestRateOfOneClient(t *testing.T) {
	t.Parallel()
	l, err := newLimiter(0.001, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ip      string
		refused bool
	}{{"2001:db8::1", false}, {"2001:db8::2", false}, {"2001:db8::3", true}, {"2001:db8:0:1::1", false}, {"10.0.0.1", false}} {
		if _, err := l.header(from(t, c.ip), nil); (err != nil) != c.refused {
			t.Errorf("%s: %v", c.ip, err)
		}
	}
}
