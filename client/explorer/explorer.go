package explorer

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
)

//go:embed page
var page embed.FS

const (
	// maxQuestion bounds the body of a question in bytes.
	maxQuestion = 64 << 10
	// maxAtOnce bounds the questions under way, and maxStreams the pages that hear of new blocks.
	maxAtOnce  = 64
	maxStreams = 256
	// answerWithin bounds how long a question may take.
	answerWithin = 30 * time.Second
)

// Config says what to show.
type Config struct {
	// Client asks the network. It stays the caller's.
	Client *client.Client
	// Unverified says that the client checks no proofs: then nothing is marked as verified.
	Unverified bool
	// Hosts are the names under which the page may be reached, besides those of loopback: a page of another site must not get
	// at what this one shows by pointing its own name here.
	Hosts []string
}

// Handler returns the page and its API.
func Handler(c Config) (http.Handler, error) {
	files, err := fs.Sub(page, "page")
	if err != nil {
		return nil, fmt.Errorf("find the page: %w", err)
	}
	s := &server{client: c.Client, unverified: c.Unverified, atOnce: make(chan struct{}, maxAtOnce), streams: make(chan struct{}, maxStreams)}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/network", s.answer(s.network))
	mux.HandleFunc("POST /api/ask/{service}/{method}", s.answer(s.ask))
	mux.HandleFunc("GET /api/transactions/{id}", s.answer(s.transaction))
	mux.HandleFunc("GET /api/blocks/{height}", s.answer(s.block))
	mux.HandleFunc("GET /api/watch", s.watch)
	return guard(c.Hosts, mux), nil
}

// guard refuses strangers' names, and sets what every answer carries.
func guard(hosts []string, next http.Handler) http.Handler {
	allowed := map[string]bool{"localhost": true}
	for _, host := range hosts {
		allowed[strings.ToLower(host)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(r.Host); err == nil {
			host = name
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		if !allowed[strings.ToLower(host)] && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this explorer does not go by that name: start it with --host NAME", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

type server struct {
	client     *client.Client
	unverified bool
	atOnce     chan struct{}
	streams    chan struct{}
}

// answer makes a handler of a question. Errors become JSON with the name of their gRPC code.
func (s *server) answer(question func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.atOnce <- struct{}{}:
			defer func() { <-s.atOnce }()
		default:
			writeError(w, status.Error(codes.ResourceExhausted, "the explorer answers other questions: ask again"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxQuestion)
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		value, err := question(r.WithContext(ctx))
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, value)
	}
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // whoever has gone away needs no answer
}

// failure is an error as the page gets it.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// Lie says that a node told something that its proof does not bear out, and no other one answered.
	Lie bool `json:"lie,omitempty"`
}

func writeError(w http.ResponseWriter, err error) {
	st := status.Convert(err)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		st = status.New(codes.InvalidArgument, "the question is too large")
	case errors.Is(err, io.ErrUnexpectedEOF):
		st = status.New(codes.InvalidArgument, "the question ends early")
	}
	code := http.StatusBadGateway
	switch st.Code() {
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition:
		code = http.StatusBadRequest
	case codes.NotFound:
		code = http.StatusNotFound
	case codes.Unauthenticated, codes.PermissionDenied:
		code = http.StatusForbidden
	case codes.ResourceExhausted:
		code = http.StatusTooManyRequests
	}
	writeJSON(w, code, failure{Code: codeName(st.Code()), Message: st.Message(), Lie: errors.Is(err, client.ErrLie)})
}
