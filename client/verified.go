package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/althing-ledger/althing/app/queries"
	"github.com/althing-ledger/althing/client/verify"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// question is a unary call, as it goes to one node after the other.
type question struct {
	method  string
	request any // the caller's, or a copy where something was added
	// verified says that the answer is checked before it is returned.
	verified bool
	// keep says that the caller has asked for the proof.
	keep bool
	// tip says that the newest state, or the newest block, is asked for.
	tip bool
	// least is the height that the answer must have at least.
	least uint64
	// height is that of the answer, once it is verified.
	height uint64
	// by is the node that was asked last.
	by *node
}

// asks makes a question of a call: it adds that a proof is wanted, and the height that the answer must have at least.
func (p *pool) asks(method string, args any) *question {
	q := &question{method: method, request: args}
	message, ok := args.(proto.Message)
	if !ok {
		return q
	}
	m := message.ProtoReflect()
	prove := fieldOf(m, "prove", protoreflect.BoolKind)
	q.verified = !p.unverified && (prove != nil || method == ledgerv1.LedgerService_GetLineage_FullMethodName)
	q.keep = prove != nil && m.Get(prove).Bool()
	if height := fieldOf(m, "height", protoreflect.Uint64Kind); height != nil {
		q.tip = m.Get(height).Uint() == 0
	}
	least := fieldOf(m, "min_height", protoreflect.Uint64Kind)
	if least != nil && m.Get(least).Uint() != 0 {
		q.tip, q.least = false, m.Get(least).Uint()
	}
	if q.verified && prove != nil && !q.keep {
		m = proto.Clone(message).ProtoReflect()
		m.Set(prove, protoreflect.ValueOfBool(true))
		q.request = m.Interface()
	}
	if q.tip {
		q.raise(p.least())
	}
	return q
}

// raise asks for an answer that has at least a height.
func (q *question) raise(height uint64) {
	if height <= q.least {
		return
	}
	q.least = height
	m := q.request.(proto.Message).ProtoReflect()
	if least := fieldOf(m, "min_height", protoreflect.Uint64Kind); least != nil {
		m = proto.Clone(m.Interface()).ProtoReflect()
		m.Set(least, protoreflect.ValueOfUint64(height))
		q.request = m.Interface()
	}
}

func fieldOf(m protoreflect.Message, name protoreflect.Name, kind protoreflect.Kind) protoreflect.FieldDescriptor {
	field := m.Descriptor().Fields().ByName(name)
	if field == nil || field.Kind() != kind || field.IsList() {
		return nil
	}
	return field
}

// tells reports whether the heights in the answer are remembered without a proof: where answers are believed, and in those
// about transactions, which say what this client will look for next.
func (q *question) tells(unverified bool) bool {
	switch q.method {
	case ledgerv1.LedgerService_Submit_FullMethodName, ledgerv1.LedgerService_WaitTransaction_FullMethodName:
		return true
	default:
		return unverified
	}
}

// ask puts a question to one node, and checks the answer where the question is one that is verified.
func (p *pool) ask(ctx context.Context, n *node, q *question, reply any, opts []grpc.CallOption) error {
	opts = slices.Concat(opts, n.asReader)
	q.by = n
	if !q.verified {
		return n.conn.Invoke(ctx, q.method, q.request, reply, opts...)
	}
	if lie := n.distrust.now(); lie != nil {
		return lie
	}
	answer := reply.(proto.Message)
	err := n.conn.Invoke(ctx, q.method, q.request, answer, opts...)
	if err == nil {
		discardUnknown(answer.ProtoReflect())
		err = p.check(ctx, n, q, answer)
	} else {
		err = p.checkRefusal(n, q, err)
	}
	if err == nil || errors.Is(err, errAbsent) {
		n.distrust.cleared()
	}
	if err != nil {
		proto.Reset(answer) // what was not verified must not be read by mistake
	}
	return err
}

// checkRefusal judges an error that a node answers with instead of an answer that could be proven.
func (p *pool) checkRefusal(n *node, q *question, err error) error {
	_, ofState := queries.Of(q.method)
	switch status.Code(err) {
	case codes.Unimplemented:
		return fmt.Errorf("%w: %s answers %s without a proof only: ask a node of a newer version, or set Config.Unverified to believe it",
			ErrNoProof, n.label(), q.method)
	case codes.NotFound:
		if ofState {
			return p.blame(n, q.method, "that there is no such thing, without a proof", err)
		}
	case codes.OutOfRange:
		if height := heightOf(q.request, "height"); height != 0 && height <= p.proven.Load() {
			return fmt.Errorf("%w: %s: %s", ErrStale, n.label(), reasonOf(err))
		}
	}
	return err
}

// check verifies an answer. It returns a [*Lie] for what is not true, the NOT_FOUND that an answer proves, or an error of the
// node or of ctx where what is needed to check it could not be had.
func (p *pool) check(ctx context.Context, n *node, q *question, answer proto.Message) error {
	var err error
	switch a := answer.(type) {
	case *ledgerv1.GetBlockResponse:
		err = p.checkBlock(ctx, n, q, a)
	case *ledgerv1.GetTransactionResponse:
		err = p.checkTransaction(ctx, n, q, a)
	case *ledgerv1.GetLineageResponse:
		err = p.lineage.checkAnswer(ctx, p, n, q, a)
	default:
		err = p.checkState(ctx, n, q, answer)
	}
	if err == nil || errors.Is(err, errAbsent) {
		raise(&p.proven, q.height)
		raise(&p.seen, q.height)
	}
	return err
}

// discardUnknown drops what a newer node adds: this version cannot check it, so it is neither compared nor passed on.
func discardUnknown(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				discardUnknown(value.List().Get(i).Message())
			}
		default:
			discardUnknown(value.Message())
		}
		return true
	})
}

// errAbsent marks the proof that there is no such thing. It never leaves this package.
var errAbsent = errors.New("absent")

// absence is a NOT_FOUND that is proven.
type absence struct{ *Refused }

func (e *absence) Is(target error) bool { return target == errAbsent }
func (e *absence) Unwrap() error        { return e.Refused }

func (p *pool) checkState(ctx context.Context, n *node, q *question, answer proto.Message) error {
	m := answer.ProtoReflect()
	field := m.Descriptor().Fields().ByName("proof")
	if _, known := queries.Of(q.method); !known || field == nil {
		return fmt.Errorf("%w: this version of the client cannot verify %s: use a newer one, or set Config.Unverified", ErrNoProof, q.method)
	}
	proof, _ := m.Get(field).Message().Interface().(*proofv1.StateProof)
	if !m.Has(field) || proof == nil {
		return p.blame(n, q.method, "an answer without a proof", nil)
	}
	var witness *verify.Witness
	err := p.lineage.check(ctx, p, n, func(t *verify.Trust) (err error) {
		witness, err = t.State(proof)
		return err
	})
	if err != nil {
		return p.judged(ctx, n, q.method, "a proof that does not hold", err)
	}
	if witness.Height() < q.least {
		return p.blame(n, q.method, fmt.Sprintf("the state of height %d, when asked for %d or a later one", witness.Height(), q.least), nil)
	}
	err = queries.Check(witness, q.method, q.request.(proto.Message), answer)
	if rejection := new(tx.Rejection); errors.As(err, &rejection) && rejection.Code == ledgerv1.Code_CODE_NOT_FOUND {
		q.height = witness.Height()
		if q.keep {
			return nil
		}
		return absent(rejection)
	}
	if err != nil {
		return p.blame(n, q.method, "something else than its own proof", err)
	}
	q.height = witness.Height()
	if !q.keep {
		m.Clear(field)
	}
	return nil
}

// absent is the error of a question for what is proven not to be there: what a node says to a question without a proof.
func absent(r *tx.Rejection) error {
	st := status.New(codes.NotFound, r.Text)
	info := &errdetails.ErrorInfo{Domain: errorDomain, Reason: tx.Reason(r.Code), Metadata: map[string]string{"code": fmt.Sprint(int32(r.Code))}}
	if with, err := st.WithDetails(info); err == nil {
		st = with
	}
	return &absence{&Refused{Code: r.Code, Reason: tx.Reason(r.Code), Message: r.Text, status: st}}
}

func (p *pool) checkBlock(ctx context.Context, n *node, q *question, a *ledgerv1.GetBlockResponse) error {
	asked := q.request.(*ledgerv1.GetBlockRequest)
	switch {
	case a.Block == nil:
		return p.blame(n, q.method, "no block", nil)
	case a.Proof == nil:
		return p.blame(n, q.method, "a block without a proof", nil)
	case asked.Height != 0 && a.Block.Height != asked.Height:
		return p.blame(n, q.method, fmt.Sprintf("block %d, when asked for block %d", a.Block.Height, asked.Height), nil)
	}
	err := p.lineage.check(ctx, p, n, func(t *verify.Trust) error { return t.Block(a.Block, a.Proof, asked.HeaderOnly) })
	if err != nil {
		return p.judged(ctx, n, q.method, "a block that is not what its proof says", err)
	}
	// The request cannot say how new the block must be: a node that is behind does not lie.
	if asked.Height == 0 && a.Block.Height < q.least {
		return fmt.Errorf("%w: the newest block of %s is %d, that of the ledger is %d or a later one", ErrStale, n.label(), a.Block.Height, q.least)
	}
	q.height = a.Block.Height
	if !q.keep {
		a.Proof = nil
	}
	return nil
}

// checkTransaction checks the answer about a transaction that stands in a block. That one stands in none cannot be proven: it is
// the node's word.
func (p *pool) checkTransaction(ctx context.Context, n *node, q *question, a *ledgerv1.GetTransactionResponse) error {
	asked := q.request.(*ledgerv1.GetTransactionRequest)
	switch a.Status {
	case ledgerv1.TxStatus_TX_STATUS_COMMITTED, ledgerv1.TxStatus_TX_STATUS_REJECTED:
	case ledgerv1.TxStatus_TX_STATUS_PENDING, ledgerv1.TxStatus_TX_STATUS_EXPIRED, ledgerv1.TxStatus_TX_STATUS_UNKNOWN:
		if a.Outcome != nil || a.Proof != nil {
			return p.blame(n, q.method, "the outcome of a transaction that it says is in no block", nil)
		}
		return nil
	default:
		return p.blame(n, q.method, fmt.Sprintf("the status %d, which there is not", a.Status), nil)
	}
	if a.Outcome == nil || a.Proof == nil {
		return p.blame(n, q.method, "that the transaction is in a block, without an outcome or without a proof", nil)
	}
	if !asked.ProveState && len(a.Proof.Keys) > 0 {
		return p.blame(n, q.method, "a proof of keys that nobody asked for", nil)
	}
	var proven *verify.Transaction
	err := p.lineage.check(ctx, p, n, func(t *verify.Trust) (err error) {
		proven, err = t.Transaction(a.Proof)
		return err
	})
	if err != nil {
		return p.judged(ctx, n, q.method, "a proof that does not hold", err)
	}
	if !bytes.Equal(asked.Id, proven.ID[:]) {
		return p.blame(n, q.method, fmt.Sprintf("the proof of transaction %x, when asked for %x", proven.ID, asked.Id), nil)
	}
	// Every event names a key.
	if asked.ProveState && proven.State == nil && len(proven.Events.GetEvents()) > 0 {
		return p.blame(n, q.method, "a proof without the state that was asked for", nil)
	}
	want := ledgerv1.TxStatus_TX_STATUS_REJECTED
	if proven.Code == ledgerv1.Code_CODE_OK {
		want = ledgerv1.TxStatus_TX_STATUS_COMMITTED
	}
	if a.Status != want {
		return p.blame(n, q.method, fmt.Sprintf("%v of a transaction that is proven to be %v", a.Status, want), nil)
	}
	if !proto.Equal(provenPart(a.Outcome), provenPart(proven.Outcome)) {
		return p.blame(n, q.method, "another outcome than its own proof", nil)
	}
	if a.Height < proven.Header.Height {
		return p.blame(n, q.method, fmt.Sprintf("an answer up to height %d about a transaction of block %d", a.Height, proven.Header.Height), nil)
	}
	q.height = proven.Header.Height
	if !q.keep {
		a.Proof = nil
	}
	return nil
}

// provenPart returns what the headers commit to of an outcome.
func provenPart(o *ledgerv1.TxOutcome) *ledgerv1.TxOutcome {
	o = proto.CloneOf(o)
	o.Message, o.FailedOperation = "", 0
	return o
}

// judged makes a lie of what is wrong with a proof, and leaves alone what is not the node's doing, or was blamed on it already.
func (p *pool) judged(ctx context.Context, n *node, method, what string, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrLie) {
		return err
	}
	if _, ofCall := status.FromError(err); ofCall {
		return err
	}
	return p.blame(n, method, what, err)
}

func heightOf(message any, name protoreflect.Name) uint64 {
	m, ok := message.(proto.Message)
	if !ok {
		return 0
	}
	if field := fieldOf(m.ProtoReflect(), name, protoreflect.Uint64Kind); field != nil {
		return m.ProtoReflect().Get(field).Uint()
	}
	return 0
}
