package explorer

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/althing-ledger/althing/client"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// services are those that the page may ask, by their last name: all of their methods only read.
var services = map[string]protoreflect.FullName{
	"accounts":   "althing.accounts.v1.AccountsService",
	"assets":     "althing.assets.v1.AssetsService",
	"governance": "althing.governance.v1.GovernanceService",
	"history":    "althing.history.v1.HistoryService",
	"membership": "althing.membership.v1.MembershipService",
	"proposals":  "althing.proposals.v1.ProposalsService",
	"records":    "althing.records.v1.RecordsService",
}

// answered is an answer and what it is worth.
type answered struct {
	// Verified says that the answer came with a proof, which holds.
	Verified bool            `json:"verified"`
	Height   uint64          `json:"height,omitempty"`
	Answer   json.RawMessage `json:"answer"`
}

func codeName(c codes.Code) string { return code.Code(c).String() }

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// ask passes a question on to the network.
func (s *server) ask(r *http.Request) (any, error) {
	method, err := findMethod(r.PathValue("service"), r.PathValue("method"))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	question, err := newMessage(method.Input())
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(body, question); err != nil {
		return nil, invalid("%v", err)
	}
	if field := method.Input().Fields().ByName("prove"); field != nil && !s.unverified {
		question.ProtoReflect().Set(field, protoreflect.ValueOfBool(true))
	}
	reply, err := newMessage(method.Output())
	if err != nil {
		return nil, err
	}
	path := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
	if err := s.client.Conn().Invoke(r.Context(), path, question, reply); err != nil {
		return nil, err
	}
	return s.worth(reply)
}

func findMethod(service, name string) (protoreflect.MethodDescriptor, error) {
	full, known := services[service]
	if !known {
		return nil, invalid("there is no service %.40q", service)
	}
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(full)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", full, err)
	}
	method := descriptor.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name))
	if method == nil || method.IsStreamingClient() || method.IsStreamingServer() {
		return nil, invalid("%s has no method %.40q", full, name)
	}
	return method, nil
}

func newMessage(d protoreflect.MessageDescriptor) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, fmt.Errorf("make a %s: %w", d.FullName(), err)
	}
	return kind.New().Interface(), nil
}

// worth encodes an answer without its proof: the client has checked it, or returned an error instead.
func (s *server) worth(reply proto.Message) (answered, error) {
	m := reply.ProtoReflect()
	var a answered
	if field := m.Descriptor().Fields().ByName("proof"); field != nil && m.Has(field) {
		a.Verified = !s.unverified
		m.Clear(field)
	}
	if field := m.Descriptor().Fields().ByName("height"); field != nil {
		a.Height = m.Get(field).Uint()
	}
	var err error
	a.Answer, err = encode(reply)
	return a, err
}

func encode(m proto.Message) (json.RawMessage, error) {
	body, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return body, nil
}

// node is what one node says of itself.
type node struct {
	Name        string          `json:"name"`
	Org         string          `json:"org"`
	Address     string          `json:"address"`
	RoundTripMs float64         `json:"round_trip_ms,omitempty"`
	Status      json.RawMessage `json:"status,omitempty"`
	Error       string          `json:"error,omitempty"`
}

// network tells which network this is, and what its nodes say of themselves.
func (s *server) network(r *http.Request) (any, error) {
	n := s.client.Network()
	all := struct {
		ChainID     string `json:"chain_id"`
		GenesisHash string `json:"genesis_hash"`
		Nodes       []node `json:"nodes"`
	}{ChainID: n.ChainID, GenesisHash: n.GenesisHash, Nodes: []node{}}
	for _, one := range s.client.Statuses(r.Context()) {
		said := node{Name: one.Node.Name, Org: one.Node.Org, Address: one.Node.GRPC}
		if one.Err != nil {
			said.Error = one.Err.Error()
		} else {
			var err error
			if said.Status, err = encode(one.Status); err != nil {
				return nil, err
			}
			said.RoundTripMs = float64(one.RoundTrip) / float64(time.Millisecond)
		}
		all.Nodes = append(all.Nodes, said)
	}
	return all, nil
}

// block tells a block with its transactions.
func (s *server) block(r *http.Request) (any, error) {
	height, err := strconv.ParseUint(r.PathValue("height"), 10, 63)
	if err != nil {
		return nil, invalid("%.40q is no height", r.PathValue("height"))
	}
	reply, err := s.client.Ledger().GetBlock(r.Context(), &ledgerv1.GetBlockRequest{Height: height, Prove: !s.unverified})
	if err != nil {
		return nil, err
	}
	told, err := tellBlock(reply.Block, reply.Proof != nil && !s.unverified)
	if err != nil {
		return nil, err
	}
	for i, o := range reply.Block.Outcomes {
		one, err := tell(reply.Block.Txs[i], o)
		if err != nil {
			return nil, err
		}
		told.Transactions = append(told.Transactions, one)
	}
	return told, nil
}

// blockTold is a block as the page gets it.
type blockTold struct {
	Verified     bool   `json:"verified"`
	Height       uint64 `json:"height"`
	Time         string `json:"time"`
	Hash         string `json:"hash"`
	AppHash      string `json:"app_hash"`
	Proposer     string `json:"proposer"` // in the node's words
	TxCount      uint32 `json:"tx_count"`
	Transactions []told `json:"transactions,omitempty"`
}

func tellBlock(b *ledgerv1.Block, verified bool) (blockTold, error) {
	if b == nil {
		return blockTold{}, fmt.Errorf("%w: no block", client.ErrAnswer)
	}
	if len(b.Txs) != len(b.Outcomes) {
		return blockTold{}, fmt.Errorf("%w: %d transactions with %d outcomes", client.ErrAnswer, len(b.Txs), len(b.Outcomes))
	}
	return blockTold{
		Verified: verified, Height: b.Height, Time: b.Time.AsTime().Format(time.RFC3339Nano), Hash: hex.EncodeToString(b.Hash),
		AppHash: hex.EncodeToString(b.AppHash), Proposer: b.Proposer, TxCount: b.TxCount,
	}, nil
}

// told is a transaction as the page gets it.
type told struct {
	Verified bool              `json:"verified"`
	Status   string            `json:"status"`
	ID       string            `json:"id"`
	Height   uint64            `json:"height,omitempty"`
	Index    uint32            `json:"index"`
	Time     string            `json:"time,omitempty"`
	Code     string            `json:"code,omitempty"`
	Message  string            `json:"message,omitempty"` // in the node's words
	Body     json.RawMessage   `json:"body,omitempty"`
	Signers  []string          `json:"signers,omitempty"`
	Events   []json.RawMessage `json:"events,omitempty"`
}

// tell decodes a transaction and its outcome.
func tell(raw []byte, o *ledgerv1.TxOutcome) (told, error) {
	t := told{
		Status: "COMMITTED", ID: hex.EncodeToString(o.Id), Height: o.Height, Index: o.Index, Code: o.Code.String(), Message: o.Message,
		Time: time.Unix(0, o.TimeUnixNano).UTC().Format(time.RFC3339Nano),
	}
	if o.Code != ledgerv1.Code_CODE_OK {
		t.Status = "REJECTED"
	}
	envelope, body := new(ledgerv1.Tx), new(ledgerv1.Body)
	// What is no transaction was refused, and is shown by its code alone.
	if proto.Unmarshal(raw, envelope) == nil && proto.Unmarshal(envelope.Body, body) == nil && len(raw) > 0 {
		var err error
		if t.Body, err = encode(body); err != nil {
			return t, err
		}
		for _, signature := range envelope.Signatures {
			t.Signers = append(t.Signers, signature.Account)
		}
	}
	events := new(ledgerv1.EventList)
	if err := proto.Unmarshal(o.Events, events); err != nil {
		return t, fmt.Errorf("%w: events: %w", client.ErrAnswer, err)
	}
	for _, event := range events.Events {
		encoded, err := encode(event)
		if err != nil {
			return t, err
		}
		t.Events = append(t.Events, encoded)
	}
	return t, nil
}

// transaction tells what became of a transaction.
func (s *server) transaction(r *http.Request) (any, error) {
	id, err := hex.DecodeString(r.PathValue("id"))
	if err != nil || len(id) != len(tx.ID{}) {
		return nil, invalid("%.80q is no transaction id: those have %d hex digits", r.PathValue("id"), 2*len(tx.ID{}))
	}
	reply, err := s.client.Ledger().GetTransaction(r.Context(), &ledgerv1.GetTransactionRequest{Id: id, Prove: !s.unverified})
	if err != nil {
		return nil, err
	}
	switch reply.Status {
	case ledgerv1.TxStatus_TX_STATUS_COMMITTED, ledgerv1.TxStatus_TX_STATUS_REJECTED:
	case ledgerv1.TxStatus_TX_STATUS_PENDING:
		return told{Status: "PENDING", ID: hex.EncodeToString(id)}, nil
	default:
		return nil, status.Errorf(codes.NotFound, "no node that answers knows transaction %x", id)
	}
	t, err := tell(reply.Proof.GetTx(), reply.Outcome)
	t.Verified = reply.Proof != nil && !s.unverified
	return t, err
}

// watch tells the page of new blocks, as server-sent events.
func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		writeError(w, status.Error(codes.ResourceExhausted, "too many pages are open"))
		return
	}
	from := uint64(0)
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		seen, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			writeError(w, invalid("%.40q is no height", last))
			return
		}
		from = seen + 1
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if out.Flush() != nil {
		return
	}
	for block, err := range s.client.Watch(r.Context(), from) {
		if err == nil {
			err = s.sendBlock(w, out, block)
		}
		if err != nil {
			return // the page connects again
		}
	}
}

// sendWithin bounds how long a page may take to read one event.
const sendWithin = time.Minute

func (s *server) sendBlock(w io.Writer, out *http.ResponseController, block *ledgerv1.Block) error {
	told, err := tellBlock(block, !s.unverified)
	if err != nil {
		return err
	}
	body, err := json.Marshal(told)
	if err != nil {
		return err
	}
	if err := out.SetWriteDeadline(time.Now().Add(sendWithin)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "id: %d\nevent: block\ndata: %s\n\n", block.Height, body); err != nil {
		return err
	}
	return out.Flush()
}
