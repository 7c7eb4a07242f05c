package httpapi

import (
	"net/http"
	"strings"
	"time"
)

const (
	// writeTimeout is how long a client may take to read one piece of an answer.
	writeTimeout = time.Minute
	piece        = 64 << 10 // bytes
)

// answer writes the answer to one request, piece by piece, each within its time: a slow reader is served, one that does not
// read is not waited for. It answers 304 where the client has what would be sent.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	// has is what the client already has: the header If-None-Match.
	has string
	// path holds the parts of the path that the route names.
	path map[string]string
	// explicit says that the request names the height of the state that it asks for.
	explicit bool
	// private says that the answer is for the bearer of a token.
	private bool

	head           bool // the request wants no body
	began, dropped bool // the head has been written; the body is not
}

func newAnswer(w http.ResponseWriter, r *http.Request) *answer {
	a := &answer{ResponseWriter: w, control: http.NewResponseController(w), has: strings.Join(r.Header.Values("If-None-Match"), ",")}
	_, a.private = r.Header["Authorization"]
	a.renew()
	return a
}

// renew gives the next piece its time. A connection that cannot be given a deadline is not one of net/http.
func (a *answer) renew() { _ = a.control.SetWriteDeadline(time.Now().Add(writeTimeout)) }

// WriteHeader writes the head of the answer.
func (a *answer) WriteHeader(status int) {
	if a.began {
		return
	}
	a.began = true
	if tag := a.Header().Get("ETag"); status == http.StatusOK && tag != "" && matches(a.has, tag) {
		status, a.dropped = http.StatusNotModified, true
		a.Header().Del("Content-Type")
	}
	a.renew()
	a.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body.
func (a *answer) Write(content []byte) (int, error) {
	if !a.began {
		a.WriteHeader(http.StatusOK)
	}
	if a.dropped {
		return len(content), nil
	}
	written := 0
	for written < len(content) {
		a.renew()
		n, err := a.ResponseWriter.Write(content[written:min(len(content), written+piece)])
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// matches says whether the list of an If-None-Match has a tag (RFC 9110, 13.1.2: compared as weak ones are).
func matches(list, tag string) bool {
	for listed := range strings.SplitSeq(list, ",") {
		listed = strings.TrimSpace(listed)
		if listed == "*" || (listed != "" && strings.TrimPrefix(listed, "W/") == strings.TrimPrefix(tag, "W/")) {
			return true
		}
	}
	return false
}
