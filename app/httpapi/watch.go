package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

const (
	// opening is how long a watch has to be refused before the head of the answer is written. Until then an error is an answer
	// of its own; after it, an event.
	opening = 250 * time.Millisecond
	// reconnect is what a browser waits before it comes back, in milliseconds.
	reconnect = 2000
	// maxCursor bounds a cursor, in bytes; HEIGHT.TX.EVENT has at most 42.
	maxCursor = 64
)

// noFilter takes every parameter of a query.
var noFilter = utilities.NewDoubleArray(nil)

// watched is what a watch received.
type watched struct {
	*ledgerv1.WatchResponse
	err error
}

// watch answers Server-Sent Events: https://html.spec.whatwg.org/multipage/server-sent-events.html. One item is in memory at a
// time and the next is taken when it has been written: a slow reader slows down its own stream, down to the watch's own.
func (s *Server) watch(a *answer, r *http.Request, query url.Values) {
	q, err := readWatch(r, query)
	if err == nil && a.head {
		err = refuse(http.StatusMethodNotAllowed, "METHOD", "a watch has no end: GET it")
	}
	if err != nil {
		s.fail(a, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	if ctx, err = runtime.AnnotateContext(ctx, s.mux, r, ledgerv1.LedgerService_Watch_FullMethodName); err != nil {
		s.fail(a, err)
		return
	}
	stream, err := s.ledger.Watch(ctx, q)
	if err != nil {
		s.fail(a, err)
		return
	}
	items := make(chan watched)
	go receive(ctx, stream, items)

	open := time.NewTimer(opening)
	defer open.Stop()
	for {
		select {
		case <-open.C:
			if err := s.begin(a); err != nil {
				return
			}
		case item := <-items:
			if item.err != nil {
				s.end(a, r.Context(), item.err)
				return
			}
			if err := s.send(a, item.WatchResponse); err != nil {
				return
			}
		case <-ctx.Done():
			s.end(a, r.Context(), ctx.Err())
			return
		}
	}
}

// receive hands over what comes on a stream, until an error, which it hands over too.
func receive(ctx context.Context, stream ledgerv1.LedgerService_WatchClient, items chan<- watched) {
	for {
		message, err := stream.Recv()
		select {
		case items <- watched{message, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// readWatch reads what to watch from the query, and from where from the header with which a browser comes back.
func readWatch(r *http.Request, query url.Values) (*ledgerv1.WatchRequest, error) {
	q := &ledgerv1.WatchRequest{}
	if err := runtime.PopulateQueryParameters(q, query, noFilter); err != nil {
		return nil, refuse(http.StatusBadRequest, "PARAMETER", "%v", err)
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		q.Cursor = last
	}
	if len(q.Cursor) > maxCursor {
		return nil, refuse(http.StatusBadRequest, "PARAMETER", "the cursor has %d bytes, at most %d", len(q.Cursor), maxCursor)
	}
	return q, nil
}

// begin writes the head of the stream, once.
func (s *Server) begin(a *answer) error {
	if a.began {
		return nil
	}
	a.Header().Set("Content-Type", "text/event-stream")
	a.Header().Set("Cache-Control", "no-store")
	a.Header().Set("X-Accel-Buffering", "no") // proxies that hold answers back would hold events back
	if _, err := fmt.Fprintf(a, "retry: %d\n\n", reconnect); err != nil {
		return err
	}
	return a.control.Flush()
}

// send writes one item as one event. A heartbeat moves the cursor on and is no event.
func (s *Server) send(a *answer, m *ledgerv1.WatchResponse) error {
	var event bytes.Buffer
	if m.GetCursor() != "" {
		fmt.Fprintf(&event, "id: %s\n", m.GetCursor())
	}
	switch item := m.GetItem().(type) {
	case *ledgerv1.WatchResponse_Heartbeat:
		fmt.Fprintf(&event, ": everything up to block %d has been sent\n\n", item.Heartbeat.GetHeight())
	default:
		data, err := s.json.Marshal(m)
		if err != nil {
			return err
		}
		fmt.Fprintf(&event, "event: %s\ndata: %s\n\n", kindOf(m), data)
	}
	return s.write(a, event.Bytes())
}

// kindOf is the kind of an item's event: the name of its field.
func kindOf(m *ledgerv1.WatchResponse) string {
	r := m.ProtoReflect()
	if field := r.WhichOneof(r.Descriptor().Oneofs().ByName("item")); field != nil {
		return string(field.Name())
	}
	return "message"
}

// end says why a watch ends, where that is not the caller's doing.
func (s *Server) end(a *answer, caller context.Context, err error) {
	switch {
	case caller.Err() != nil:
		return
	case s.stopping.Err() != nil:
		err = status.Error(codes.Unavailable, "the node stops: go on after the last event at another one")
	case errors.Is(err, io.EOF):
		err = status.Error(codes.Unavailable, "the watch has ended: go on after the last event")
	}
	if !a.began {
		s.fail(a, err)
		return
	}
	data, err := s.json.Marshal(status.Convert(err).Proto())
	if err != nil {
		return
	}
	// Who does not read it has gone.
	_ = s.write(a, []byte("event: failed\ndata: "+strings.ReplaceAll(string(data), "\n", " ")+"\n\n"))
}

func (s *Server) write(a *answer, event []byte) error {
	if err := s.begin(a); err != nil {
		return err
	}
	if _, err := a.Write(event); err != nil {
		return err
	}
	a.renew()
	return a.control.Flush()
}
