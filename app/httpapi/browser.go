package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// meet says to browsers what they may do with the answer, answers their preflights, and refuses requests that came here by a
// name that is not the node's. It reports whether the request is to be answered.
func (s *Server) meet(a *answer, r *http.Request) bool {
	header := a.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Add("Vary", "Authorization, Origin")
	if !s.knows(r.Host) {
		s.fail(a, refuse(http.StatusMisdirectedRequest, "HOST",
			"%.80q is not a name of this node: ask by its address, or list the name in http.hosts of its althing.toml", r.Host))
		return false
	}
	origin := r.Header.Get("Origin")
	if origin != "" && (slices.Contains(s.cfg.Origins, origin) || slices.Contains(s.cfg.Origins, "*")) {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", "ETag, Location, Retry-After")
		if r.Method == http.MethodOptions {
			header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
			header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match, Last-Event-ID")
			header.Set("Access-Control-Max-Age", "600")
		}
	}
	if r.Method == http.MethodOptions {
		a.WriteHeader(http.StatusNoContent)
		return false
	}
	return true
}

// knows says whether a request in plain text may name the host. A page of another site that makes the browser take its own name
// for this node's address would else read, as if it were the node's, what only this machine may: no page can give itself one of
// these names.
func (s *Server) knows(host string) bool {
	if s.cfg.TLS != nil {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	return strings.EqualFold(name, "localhost") ||
		slices.ContainsFunc(s.cfg.Hosts, func(known string) bool { return strings.EqualFold(known, name) })
}
