package grpcapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/queries"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/state"
)

const (
	// headersKept is how many signed headers are remembered: those of a few minutes, for a proof of the tip asks for the same
	// ones until the next block comes.
	headersKept = 128
	// maxProof bounds the proof in one answer, in bytes. Clients take answers of twice that.
	maxProof = 32 << 20
)

// provable is a message of an answer that can carry the proof of the state it follows from.
type provable[A any] interface {
	*A
	proto.Message
	GetProof() *proofv1.StateProof
}

// askProven answers a question as [ask] does, with the proof of all that was read. What is not there is an answer without it.
func askProven[Q question, A any, PA provable[A]](ctx context.Context, r *reads, q Q, query func(exec.View, Q) (PA, error)) (PA, error) {
	view, proof, err := r.provable(q.GetHeight())
	if err != nil {
		return nil, err
	}
	defer view.Release()
	reading := &recorder{View: attendedView{view, ctx.Err}, seen: make(map[string]struct{})}
	answer, err := query(reading, q)
	if answer, _, err = queries.Settle(view, answer, err); err != nil {
		return nil, err
	}
	if err = ctx.Err(); err != nil {
		return nil, err
	}
	if proof.Keys, err = view.Prove(reading.keys); err != nil {
		return nil, err
	}
	if len(proof.Keys) > maxProof {
		return nil, fmt.Errorf("the proof has %d bytes, at most %d fit into an answer: %w", len(proof.Keys), maxProof, errTooMuchToProve)
	}
	attach(answer, proof)
	return answer, nil
}

// attach puts a proof into the answer's field for it.
func attach(answer proto.Message, proof *proofv1.StateProof) {
	m := answer.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName("proof"), protoreflect.ValueOfMessage(proof.ProtoReflect()))
}

// provable opens the state of a height, for 0 the newest one that can be proven now, and begins its proof.
func (r *reads) provable(height uint64) (*state.View, *proofv1.StateProof, error) {
	view, err := r.app.View(height)
	if err != nil {
		return nil, nil, err
	}
	proof, err := r.root(view)
	if err == nil {
		return view, proof, nil
	}
	newest := view.Height()
	view.Release()
	if height != 0 || newest == 1 || !errors.Is(err, errUnproven) {
		return nil, nil, err
	}
	// The one before has its next header.
	return r.provable(newest - 1)
}

// root returns what shows that the root of a state is right: a proof without keys. The error is errUnproven while there is no
// header that carries it.
func (r *reads) root(view *state.View) (*proofv1.StateProof, error) {
	height := view.Height()
	if height == 0 {
		return nil, ErrNotReady
	}
	proof := &proofv1.StateProof{Height: height}
	next, err := r.signedHeader(height + 1)
	switch {
	case err == nil:
		own, err := r.signedHeader(height)
		if err != nil {
			return nil, err
		}
		proof.Signed, proof.Header = next.signed, own.signed.Header
	case !errors.Is(err, ErrBlockFuture):
		return nil, err
	default:
		if next, err = r.signedHeader(height); err != nil {
			return nil, err
		}
		if height == 1 || !next.idle() {
			return nil, fmt.Errorf("the state of height %d: %w", height, errUnproven)
		}
		proof.Signed = next.signed
	}
	if !bytes.Equal(next.appHash, view.AppHash()) {
		return nil, fmt.Errorf("the state of height %d has the root %X, the header that carries it says %X", height, view.AppHash(), next.appHash)
	}
	return proof, nil
}

// awaitProof waits within a context until the state of a height can be proven. One that is not there is left to whoever opens it.
func (r *reads) awaitProof(ctx context.Context, height uint64) error {
	if r.app.Height() != height {
		return nil // Still to come, or followed by another block.
	}
	view, err := r.app.View(height)
	if err != nil {
		return err
	}
	_, err = r.root(view)
	view.Release()
	if !errors.Is(err, errUnproven) {
		return err
	}
	if late := r.app.WaitHeight(ctx, height+1); late != nil {
		return err
	}
	return nil
}

// signedHeader is a header, the votes for it, and the fields of it that proofs hang on.
type signedHeader struct {
	signed                          *proofv1.SignedHeader
	dataHash, appHash, evidenceHash []byte
}

// signedHeader returns the header of a block from memory, or from the engine. It must not be modified.
func (r *reads) signedHeader(height uint64) (*signedHeader, error) {
	if h, ok := r.headers.Get(height); ok {
		return h, nil
	}
	signed, err := r.engine.SignedHeader(height)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(signed)
	if err != nil {
		return nil, fmt.Errorf("the header of block %d: %w", height, err)
	}
	r.headers.Add(height, h)
	return h, nil
}

// hashOfNothing is the hash of a list without entries, as CometBFT makes it.
var hashOfNothing = sha256.Sum256(nil)

// Fields of a tendermint.types.Header.
const (
	headerDataHash     = 7
	headerAppHash      = 11
	headerEvidenceHash = 13
)

func parseHeader(signed *proofv1.SignedHeader) (*signedHeader, error) {
	h := &signedHeader{signed: signed}
	for rest := signed.Header; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		rest = rest[n:]
		size := protowire.ConsumeFieldValue(number, kind, rest)
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(rest)
			switch number {
			case headerDataHash:
				h.dataHash = value
			case headerAppHash:
				h.appHash = value
			case headerEvidenceHash:
				h.evidenceHash = value
			}
		}
		rest = rest[size:]
	}
	return h, nil
}

// idle reports whether the block has neither transactions nor evidence. Then it leaves the state as it was, unless it is the
// first, which writes the genesis.
func (h *signedHeader) idle() bool {
	return bytes.Equal(h.dataHash, hashOfNothing[:]) && bytes.Equal(h.evidenceHash, hashOfNothing[:])
}

// recorder is a view that notes all that is read of it: each key, and for a range its beginning, every key that was looked at,
// and the place after the last one where the range was read to its end. Between two neighbours there is nothing, so a proof of
// those keys shows that nothing of the range is left out.
type recorder struct {
	exec.View
	keys [][]byte
	seen map[string]struct{}
}

// Get is that of the view.
func (r *recorder) Get(key []byte) ([]byte, error) {
	if err := r.note(key); err != nil {
		return nil, err
	}
	return r.View.Get(key)
}

// Scan is that of the view.
func (r *recorder) Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error {
	if err := r.note(start); err != nil {
		return err
	}
	var last []byte
	stopped := false
	err := r.View.Scan(start, end, func(key, value []byte) (bool, error) {
		if err := r.note(key); err != nil {
			return false, err
		}
		last = append(last[:0], key...)
		more, err := fn(key, value)
		stopped = !more
		return more, err
	})
	if err != nil || stopped || last == nil {
		return err
	}
	return r.note(append(last, 0))
}

func (r *recorder) note(key []byte) error {
	if _, known := r.seen[string(key)]; known {
		return nil
	}
	if len(r.keys) == state.MaxProofKeys {
		return fmt.Errorf("the answer follows from more than %d keys of the state, more than one proof holds: %w", state.MaxProofKeys, errTooMuchToProve)
	}
	r.seen[string(key)] = struct{}{}
	r.keys = append(r.keys, bytes.Clone(key))
	return nil
}
