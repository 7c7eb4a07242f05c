package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// domain marks the errors of the ledger in google.rpc.ErrorInfo.
const domain = "althing"

// refusal is an error of the way in, before any call: a code of HTTP and the status that says why.
type refusal struct {
	http   int
	status *status.Status
}

func (r *refusal) Error() string { return r.status.Message() }

// refuse returns a refusal.
func refuse(code int, reason, format string, args ...any) error {
	kind := codes.InvalidArgument
	switch code {
	case http.StatusNotFound:
		kind = codes.NotFound
	case http.StatusMethodNotAllowed:
		kind = codes.Unimplemented
	case http.StatusForbidden:
		kind = codes.PermissionDenied
	}
	st := status.New(kind, fmt.Sprintf(format, args...))
	if with, err := st.WithDetails(&errdetails.ErrorInfo{Domain: domain, Reason: reason}); err == nil {
		st = with
	}
	return &refusal{code, st}
}

// fail answers with an error: a google.rpc.Status as JSON. This is the one place where gRPC codes become those of HTTP.
func (s *Server) fail(a *answer, err error) {
	var refused *refusal
	st, code := status.Convert(err), 0
	if errors.As(err, &refused) {
		st, code = refused.status, refused.http
	}
	reason, delay := detailsOf(st)
	if code == 0 {
		code = codeOf(st.Code(), reason, delay)
	}
	header := a.Header()
	header.Del("ETag")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", contentJSON)
	if delay > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(delay.Seconds())), 10))
	}
	if code == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="althing"`)
	}
	content, err := s.json.Marshal(st.Proto())
	if err != nil {
		code, content = http.StatusInternalServerError, []byte(`{"code":13,"message":"the error cannot be written as JSON"}`)
	}
	a.WriteHeader(code)
	// Who does not read it has gone.
	_, _ = a.Write(content)
}

// detailsOf returns the reason in the details of a status, and when to come back.
func detailsOf(st *status.Status) (reason string, delay time.Duration) {
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.RetryInfo:
			delay = d.GetRetryDelay().AsDuration()
		}
	}
	return reason, delay
}

// codeOf is the mapping of google.rpc.Code but for two: what is no longer kept is gone, and what exceeds a size has no time at
// which to come back.
func codeOf(code codes.Code, reason string, delay time.Duration) int {
	switch {
	case code == codes.FailedPrecondition && reason == "PRUNED":
		return http.StatusGone
	case code == codes.ResourceExhausted && delay == 0:
		return http.StatusRequestEntityTooLarge
	}
	return runtime.HTTPStatusFromCode(code)
}

// failCall is fail for the routes.
func (s *Server) failCall(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	var malformed *runtime.HTTPStatusError
	if errors.As(err, &malformed) {
		err = refuse(malformed.HTTPStatus, "PATH", "%v", malformed.Err)
	}
	a, ok := w.(*answer)
	if !ok {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	s.fail(a, err)
}

// failRoute answers a request that no route takes.
func (s *Server) failRoute(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	err := refuse(code, "PATH", "there is nothing at this path: %s says what there is", documentPath)
	if code == http.StatusMethodNotAllowed {
		allowed := "GET, HEAD, OPTIONS"
		if r.URL.Path == submitPath {
			allowed = "POST, OPTIONS"
		}
		w.Header().Set("Allow", allowed)
		err = refuse(code, "METHOD", "this path takes %s", allowed)
	}
	s.failCall(ctx, mux, m, w, r, err)
}
