package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/althing-ledger/althing/proto"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	accountsgateway "github.com/althing-ledger/althing/proto/gen/gateway/althing/accounts/v1"
	assetsgateway "github.com/althing-ledger/althing/proto/gen/gateway/althing/assets/v1"
	governancegateway "github.com/althing-ledger/althing/proto/gen/gateway/althing/governance/v1"
	historygateway "github.com/althing-ledger/althing/proto/gen/gateway/althing/history/v1"
	ledgergateway "github.com/althing-ledger/althing/proto/gen/gateway/althing/ledger/v1"
	membershipgateway "github.com/althing-ledger/althing/proto/gen/gateway/althing/membership/v1"
	proposalsgateway "github.com/althing-ledger/althing/proto/gen/gateway/althing/proposals/v1"
	recordsgateway "github.com/althing-ledger/althing/proto/gen/gateway/althing/records/v1"
)

// Paths that this package serves by itself.
const (
	documentPath = "/v1/openapi.json"
	watchPath    = "/v1/watch"
	submitPath   = "/v1/transactions"
)

// route is what the OpenAPI document says of a path.
type route struct {
	query []string // names of parameters
	ids   []string // names of the parts of the path that are bytes
}

// readRoutes reads the routes from the OpenAPI document, so that nothing is taken that it does not name.
func readRoutes(document string) (map[string]route, error) {
	var parsed struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In, Format string }
		}
	}
	if err := json.Unmarshal([]byte(document), &parsed); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	routes := map[string]route{}
	for path, methods := range parsed.Paths {
		var r route
		for _, method := range methods {
			for _, p := range method.Parameters {
				switch {
				case p.In == "query":
					r.query = append(r.query, p.Name)
				case p.In == "path" && p.Format == "byte":
					r.ids = append(r.ids, p.Name)
				}
			}
		}
		routes[path] = r
	}
	return routes, nil
}

// patternOf matches what a pattern says of a part of the path beyond its name.
var patternOf = regexp.MustCompile(`\{([a-z_]+)=[^}]*\}`)

// newJSON is the mapping of proto3 to JSON, with the names of the contract, and with fields that are zero.
func newJSON() *runtime.JSONPb {
	return &runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}}
}

// routeAll makes the routes that were generated from the contract and proto/http.yaml.
func (s *Server) routeAll() error {
	s.mux = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, s.json),
		// A part of a name may also be parted by %2F, as clients write it that are made from the OpenAPI document.
		runtime.WithUnescapingMode(runtime.UnescapingModeAllCharacters),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		// The gateway passes the Authorization on by itself; no other header is the caller's to send there.
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithMiddlewares(s.check),
		runtime.WithForwardResponseOption(s.mark),
		runtime.WithErrorHandler(s.failCall),
		runtime.WithRoutingErrorHandler(s.failRoute),
	)
	ctx := context.Background() // for registrations that close connections, which these do not
	return errors.Join(
		ledgergateway.RegisterLedgerServiceHandler(ctx, s.mux, s.conn),
		historygateway.RegisterHistoryServiceHandler(ctx, s.mux, s.conn),
		accountsgateway.RegisterAccountsServiceHandler(ctx, s.mux, s.conn),
		assetsgateway.RegisterAssetsServiceHandler(ctx, s.mux, s.conn),
		recordsgateway.RegisterRecordsServiceHandler(ctx, s.mux, s.conn),
		membershipgateway.RegisterMembershipServiceHandler(ctx, s.mux, s.conn),
		governancegateway.RegisterGovernanceServiceHandler(ctx, s.mux, s.conn),
		proposalsgateway.RegisterProposalsServiceHandler(ctx, s.mux, s.conn),
	)
}

// check stands before every route: it refuses what the document does not name, reads the ids in the path, and hands over what
// the generated routes cannot do.
func (s *Server) check(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		a, ok := w.(*answer)
		if !ok {
			http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
			return
		}
		pattern, _ := runtime.HTTPPattern(r.Context())
		of, known := s.routes[patternOf.ReplaceAllString(pattern.String(), "{$1}")]
		if !known {
			s.fail(a, fmt.Errorf("the OpenAPI document has no %s", pattern))
			return
		}
		if r.Method == http.MethodPost && isContent(r, contentOctets) {
			of.query = octetsQuery
		}
		query, err := checkQuery(r.URL, of.query)
		if err != nil {
			s.fail(a, err)
			return
		}
		for _, name := range of.ids {
			if path[name], err = pathID(path[name]); err != nil {
				s.fail(a, err)
				return
			}
		}
		height := query.Get("height")
		a.path, a.explicit = path, strings.Trim(height, "0") != ""
		if r.URL.Path == watchPath {
			s.watch(a, r, query)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		if r.Method == http.MethodPost && isContent(r, contentOctets) {
			s.submitOctets(a, r, query)
			return
		}
		next(a, r, path)
	}
}

// checkQuery reads the query of a request and refuses parameters that there are not.
func checkQuery(from *url.URL, known []string) (url.Values, error) {
	query, err := url.ParseQuery(from.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "PARAMETER", "the query cannot be read: %v", err)
	}
	for name := range query {
		if !slices.Contains(known, name) {
			return nil, refuse(http.StatusBadRequest, "PARAMETER", "there is no parameter %.80q here: there are %s", name, listing(known))
		}
	}
	return query, nil
}

func listing(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// serveDocument answers the OpenAPI document.
func (s *Server) serveDocument(a *answer) {
	a.Header().Set("Content-Type", contentJSON)
	a.Header().Set("Cache-Control", "no-cache")
	// Who does not read it has gone.
	_, _ = io.WriteString(a, proto.OpenAPI)
}

// octetsQuery are the parameters of a submission whose body is the transaction.
var octetsQuery = []string{"wait"}

// submitOctets submits a transaction whose bytes are the body.
func (s *Server) submitOctets(a *answer, r *http.Request, query url.Values) {
	q := &ledgerv1.SubmitRequest{}
	if err := runtime.PopulateQueryParameters(q, query, noFilter); err != nil {
		s.fail(a, refuse(http.StatusBadRequest, "PARAMETER", "%v", err))
		return
	}
	var err error
	if q.Tx, err = io.ReadAll(r.Body); err != nil {
		s.fail(a, err)
		return
	}
	ctx, err := runtime.AnnotateContext(r.Context(), s.mux, r, ledgerv1.LedgerService_Submit_FullMethodName)
	if err != nil {
		s.fail(a, err)
		return
	}
	response, err := s.ledger.Submit(ctx, q)
	if err != nil {
		s.fail(a, err)
		return
	}
	runtime.ForwardResponseMessage(runtime.NewServerMetadataContext(ctx, runtime.ServerMetadata{HeaderMD: metadata.MD{}}),
		s.mux, s.json, a, r, response, s.mux.GetForwardResponseOptions()...)
}
