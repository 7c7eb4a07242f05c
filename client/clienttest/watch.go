package clienttest

import (
	"cmp"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/proto/blocks"
	"github.com/althing-ledger/althing/proto/cursor"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/subjects"
)

// Watch streams without proofs.
func (s *ledgerService) Watch(req *ledgerv1.WatchRequest, stream grpc.ServerStreamingServer[ledgerv1.WatchResponse]) error {
	if req.Prove {
		return status.Error(codes.Unimplemented, "this ledger has no proofs")
	}
	filter, err := subjects.NewFilter(req.Filter)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	at := cursor.Block(cmp.Or(req.FromHeight, s.node.ledger.Height()+1))
	if req.Cursor != "" {
		if at, err = cursor.Parse(req.Cursor); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
	}
	if newest := s.node.ledger.Height(); at.Height > newest+1 {
		return status.Errorf(codes.OutOfRange, "block %d is not there yet, the newest is %d", at.Height, newest)
	}
	beat := time.NewTicker(time.Duration(cmp.Or(req.HeartbeatMs, 15_000)) * time.Millisecond)
	defer beat.Stop()
	for sent := 0; ; {
		if err := s.mayWatch(at.Height, sent); err != nil {
			return err
		}
		block, changed := s.node.ledger.block(at.Height)
		if block == nil {
			select {
			case <-changed:
			case <-beat.C:
				err = s.beat(stream, at)
			case <-stream.Context().Done():
				err = status.FromContextError(stream.Context().Err()).Err()
			}
			if err != nil {
				return err
			}
			continue
		}
		if at.Height != s.node.now().SkipInWatch {
			if err := show(block, req.Detail, filter, at, stream); err != nil {
				return err
			}
			sent++
		}
		at = cursor.Block(at.Height + 1)
	}
}

// mayWatch ends a watch where a fault says so.
func (s *ledgerService) mayWatch(height uint64, sent int) error {
	f := s.node.now()
	switch {
	case height < f.PrunedBelow:
		return status.Errorf(codes.FailedPrecondition, "block %d is no longer kept, the oldest is %d", height, f.PrunedBelow)
	case f.BreakWatchAfter > 0 && sent >= f.BreakWatchAfter:
		return status.Error(codes.Unavailable, "the node shuts down")
	case f.ExpireWatchAfter > 0 && sent >= f.ExpireWatchAfter:
		return denied("TOKEN_EXPIRED", "the token expired", s.node.ledger.Charter())
	default:
		return nil
	}
}

// beat says that the node lives, unless it is silent.
func (s *ledgerService) beat(stream grpc.ServerStreamingServer[ledgerv1.WatchResponse], at cursor.Position) error {
	if s.node.now().Silent {
		return nil
	}
	return stream.Send(&ledgerv1.WatchResponse{
		Item: &ledgerv1.WatchResponse_Heartbeat{Heartbeat: &ledgerv1.Heartbeat{Height: at.Height - 1}}, Cursor: at.String(),
	})
}

func show(
	block *ledgerv1.Block, detail ledgerv1.Detail, filter *subjects.Filter, at cursor.Position,
	stream grpc.ServerStreamingServer[ledgerv1.WatchResponse],
) error {
	b, err := blocks.New(block)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	for item, err := range b.Items(detail, filter, at) {
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if err := stream.Send(item); err != nil {
			return err
		}
	}
	return nil
}
