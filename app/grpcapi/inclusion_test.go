package grpcapi

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/app/follow"
	"github.com/althing-ledger/althing/app/lineage"
	"github.com/althing-ledger/althing/mempool"
	"github.com/althing-ledger/althing/proto/attest"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// oneBlock is an engine whose every block has the same transactions, and whose headers say no more than their height.
type oneBlock struct {
	noBlocks
	txs [][]byte
}

func (e oneBlock) Block(height uint64) (Block, error) {
	return Block{Time: blockTime(height), Hash: make([]byte, sha256.Size), Txs: e.txs}, nil
}

func (e oneBlock) Header(height uint64) ([]byte, error) { return []byte{byte(height)}, nil }

func (e oneBlock) SignedHeader(height uint64) (*proofv1.SignedHeader, error) {
	return &proofv1.SignedHeader{Header: []byte{byte(height)}}, nil
}

// provableLedger is a service that can prove one transaction, which is in the newest block.
func provableLedger(t *testing.T) (*world, *ledgerServer, []byte) {
	t.Helper()
	w := newWorld(t, mempool.Config{})
	op := &ledgerv1.Operation{Account: admin, Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: "acme/usd"}}}
	raw, id, _ := w.sign(op)
	w.decide(2, raw)
	s := w.ledger(4)
	s.engine, s.proofs, s.self = oneBlock{txs: [][]byte{raw}}, newGate(1, 8), Self{Name: "acme-1"}
	return w, s, id[:]
}

func TestAProofWaitsForTheNextBlock(t *testing.T) {
	t.Parallel()
	w, s, id := provableLedger(t)
	question := &ledgerv1.GetTransactionRequest{Id: id, Prove: true, ProveState: true}
	if res, err := s.GetTransaction(t.Context(), &ledgerv1.GetTransactionRequest{Id: id}); err != nil || res.Proof != nil || res.Outcome == nil {
		t.Fatalf("without a proof: %v, %v", res, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.GetTransaction(short, question); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("within a short deadline: %v", err)
	}
	if _, err := s.GetBlock(short, &ledgerv1.GetBlockRequest{Prove: true}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("of the newest block, within a short deadline: %v", err)
	}
	// One client has a quarter of four places to wait.
	free, ok := s.waiters.take(clientOf(t.Context()))
	if !ok {
		t.Fatal("there is no place")
	}
	if _, err := s.GetTransaction(t.Context(), question); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("with no place to wait: %v", err)
	}
	free()

	type answer struct {
		res *ledgerv1.GetTransactionResponse
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		res, err := s.GetTransaction(t.Context(), question)
		answers <- answer{res, err}
	}()
	w.decide(3)
	got := <-answers
	if got.err != nil || got.res.Proof == nil || len(got.res.Proof.Keys) == 0 || !bytes.Equal(got.res.Proof.Header, []byte{2}) ||
		!bytes.Equal(got.res.Proof.Signed.GetHeader(), []byte{3}) {
		t.Errorf("with the next block: %v, %v", got.res, got.err)
	}
	// Who is not through in time has gone, and holds no place.
	leave, err := s.proofs.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	short, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.GetTransaction(short, question); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("while it is not its turn: %v", err)
	}
	leave()
	if _, err := s.GetTransaction(t.Context(), question); err != nil {
		t.Errorf("when it is its turn: %v", err)
	}
}

func TestABlockThatChangedNothingIsProvenByItself(t *testing.T) {
	t.Parallel()
	w, s, _ := provableLedger(t)
	s.engine = oneBlock{}
	w.decide(3)
	for height, want := range map[uint64]string{1: "\x01", 2: "", 3: "", 0: ""} {
		res, err := s.GetBlock(t.Context(), &ledgerv1.GetBlockRequest{Height: height, Prove: true})
		if err != nil || string(res.Proof.Header) != want {
			t.Errorf("block %d: %v, %v", height, res, err)
		}
	}
	if _, err := s.GetBlock(t.Context(), &ledgerv1.GetBlockRequest{Height: 4, Prove: true}); status.Code(err) != codes.OutOfRange {
		t.Errorf("a block of the future: %v", err)
	}
}

func TestLineageThatIsNotThere(t *testing.T) {
	t.Parallel()
	w, s, _ := provableLedger(t)
	w.decide(3)
	if _, err := s.GetLineage(t.Context(), &ledgerv1.GetLineageRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("where nobody keeps it: %v", err)
	}
	if _, err := s.GetLineage(t.Context(), &ledgerv1.GetLineageRequest{PageSize: maxLinks + 1}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a page too large: %v", err)
	}
	link := &proofv1.Link{Signed: &proofv1.SignedHeader{Header: []byte("header")}}
	var err error
	s.lineage, err = follow.New(follow.Config{
		Store: w.store, WaitHeight: w.app.WaitHeight, Lag: lineage.Lag, Oldest: func() uint64 { return 2 },
	}, &lineage.Follower{ChangeAt: func(context.Context, uint64) (*proofv1.Link, error) { return link, nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.lineage.Run(ctx) }()
	res, err := s.GetLineage(t.Context(), &ledgerv1.GetLineageRequest{FromHeight: 2, Genesis: true})
	if err != nil || len(res.Lineage.Links) != 1 || res.Height != 2 || !bytes.Equal(res.Newest.Header, []byte{3}) {
		t.Errorf("from the first height that is known: %v, %v", res, err)
	}
	if sha256.Sum256(res.GetLineage().GetGenesis()) != w.app.Genesis().Hash {
		t.Error("the genesis document is not the file")
	}
	_, err = s.GetLineage(t.Context(), &ledgerv1.GetLineageRequest{})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("from heights that are gone: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// Who is behind answers what it has.
	w.decide(4)
	res, err = s.GetLineage(t.Context(), &ledgerv1.GetLineageRequest{FromHeight: 2})
	if err != nil || res.Height != 2 || !bytes.Equal(res.Newest.Header, []byte{4}) {
		t.Errorf("behind the newest block: %v, %v", res, err)
	}
}

func TestAttest(t *testing.T) {
	t.Parallel()
	_, s, id := provableLedger(t)
	question := &ledgerv1.AttestRequest{Id: id}
	if _, err := s.Attest(t.Context(), question); status.Code(err) != codes.Unavailable {
		t.Errorf("without a key: %v", err)
	}
	seed := sha256.Sum256([]byte("node"))
	key := ed25519.NewKeyFromSeed(seed[:])
	s.attester = func() crypto.Signer { return key }
	res, err := s.Attest(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	got, err := attest.Check(res.Cose, key.Public().(ed25519.PublicKey))
	if err != nil || !bytes.Equal(got.ID[:], id) || got.Height != 2 || got.Code != 0 || got.Node != "acme-1" || !got.Time.Equal(blockTime(2)) ||
		!got.IssuedAt.Equal(s.now()) {
		t.Errorf("it attests %+v, %v", got, err)
	}
	if _, err := attest.Check(res.Cose[1:], key.Public().(ed25519.PublicKey)); !errors.Is(err, attest.ErrInvalid) {
		t.Errorf("a cut message: %v", err)
	}
	for code, id := range map[codes.Code][]byte{codes.InvalidArgument: {1}, codes.NotFound: make([]byte, 32)} {
		if _, err := s.Attest(t.Context(), &ledgerv1.AttestRequest{Id: id}); status.Code(err) != code {
			t.Errorf("transaction %x: %v", id, err)
		}
	}
}

func TestProofsAreClosedToStrangers(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	client := ledgerv1.NewLedgerServiceClient(c.conn)
	_, lineage := client.GetLineage(t.Context(), &ledgerv1.GetLineageRequest{})
	_, word := client.Attest(t.Context(), &ledgerv1.AttestRequest{Id: make([]byte, 32)})
	_, transaction := client.GetTransaction(t.Context(), &ledgerv1.GetTransactionRequest{Id: make([]byte, 32), Prove: true})
	_, block := client.GetBlock(t.Context(), &ledgerv1.GetBlockRequest{Prove: true})
	for _, err := range []error{lineage, word, transaction, block} {
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("a stranger is told %v", err)
		}
	}
}
