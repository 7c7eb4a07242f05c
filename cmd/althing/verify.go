package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/verify"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// maxProof bounds in bytes what is read as a receipt: no longer one is taken for one.
const maxProof = 64 << 20

// Kinds of files that prove something.
const (
	kindReceipt = "receipt"
	kindCOSE    = "cose"
)

// receiptMagic opens receipt files; coseMagic is the tag of a COSE_Sign1 message.
const (
	receiptMagic = "althrcpt"
	coseMagic    = "\xd2"
)

// verifying is what the flags of `verify` say.
type verifying struct {
	genesis  string
	trust    string
	document string
	nodeKey  string
}

func newVerifyCommand(s *streams) *cobra.Command {
	v := new(verifying)
	cmd := &cobra.Command{
		Use:   "verify FILE [--genesis HASH] [--file DOCUMENT]",
		Short: "Check a receipt, without any network",
		Long: `Check a receipt, and say what it proves, by whom, when, and what it does not prove. No network is
needed: everything stands in the file, and hangs on the genesis hash of the network. Where
--genesis, --network or ` + networkVariable + ` says that hash, the receipt must be of that network.
Otherwise the hash that stands in the receipt is printed, to be compared with one that you trust.

With --file, the SHA-256 of the document must be what the transaction put into a record, and the
transaction must have been applied. With --trust, the receipt must lead to a header that you trust:
for whoever fears that old keys of validators were stolen.

A file that ` + "`althing tx receipt --cose`" + ` wrote is the word of one node. It is checked against
--node-key, or against the key that the network lists for that node.

The exit code is 0 only when all of it holds.`,
		Example: `  althing verify contract.receipt --genesis 6f0c…64-hex-digits
  althing verify contract.receipt --file contract.pdf
  althing verify contract.receipt --trust 120:6f0c…64-hex-digits --output json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 || (len(args) == 2 && args[0] == kindReceipt) {
				return nil
			}
			return errors.New("name one file")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			g := globalsOf(cmd)
			// `verify receipt FILE` is what one says.
			file := args[len(args)-1]
			if file == toStdout && v.document == toStdout {
				return usagef("only one of the receipt and --file can be standard input")
			}
			p, err := s.pins(g, v)
			if err != nil {
				return err
			}
			return s.verify(cmd.Context(), g, v, p, file)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&v.genesis, "genesis", "", "the network's genesis `HASH`, 64 hex digits, from somebody you trust")
	flags.StringVar(&v.trust, "trust", "", "`HEIGHT:HASH` of a header that you trust")
	flags.StringVar(&v.document, "file", "", "`DOCUMENT` that the transaction must have put into a record, - for standard input")
	flags.StringVar(&v.nodeKey, "node-key", "", "`HEX` of the node's key, 64 digits, for a file that one node signed")
	return cmd
}

// pins is what a receipt is checked against.
type pins struct {
	verify.ReceiptOptions
	// by says where the genesis hash comes from, in words; empty where it is not pinned.
	by string
	// network is nil where none is named.
	network *client.Network
	nodeKey ed25519.PublicKey
}

func (s *streams) pins(g globals, v *verifying) (pins, error) {
	var p pins
	if v.genesis != "" {
		hash, err := parseHash(v.genesis)
		if err != nil {
			return p, usagef("--genesis: %w", err)
		}
		p.GenesisHash, p.by = hash, "--genesis"
	}
	if v.nodeKey != "" {
		key, err := parseHash(v.nodeKey)
		if err != nil {
			return p, usagef("--node-key: %w", err)
		}
		p.nodeKey = key
	}
	if v.trust != "" {
		height, hash, found := strings.Cut(v.trust, ":")
		if !found {
			return p, usagef("--trust %.80q is not HEIGHT:HASH", v.trust)
		}
		var err error
		if p.AnchorHeight, err = parseHeight(height); err != nil {
			return p, usagef("--trust: %w", err)
		}
		if p.AnchorHash, err = parseHash(hash); err != nil {
			return p, usagef("--trust: %w", err)
		}
	}
	// What says the hash itself needs no network file, be it there or not.
	if !s.networkNamed(g) || (v.genesis != "" && g.network == "") {
		return p, nil
	}
	network, err := s.loadNetwork(g)
	if err != nil {
		return p, hint(err, "say the network's genesis hash with --genesis HASH, or unset "+networkVariable+" to see the one in the file")
	}
	p.network = network
	hash, err := parseHash(network.GenesisHash)
	if err != nil {
		return p, fmt.Errorf("genesis hash of the network: %w", err)
	}
	if p.GenesisHash != nil && !bytes.Equal(hash, p.GenesisHash) {
		return p, hint(usagef("--genesis and --network name different networks: %s has genesis %x", network.ChainID, hash), "say one of both")
	}
	if p.by == "" {
		p.GenesisHash, p.by = hash, "the network file of "+network.ChainID
	}
	return p, nil
}

// parseHash reads 32 bytes of hex digits.
func parseHash(text string) ([]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != sha256.Size {
		return nil, fmt.Errorf("%.80q is not %d hex digits", text, 2*sha256.Size)
	}
	return b, nil
}

// verify checks a file and prints what it proves.
func (s *streams) verify(ctx context.Context, g globals, v *verifying, p pins, file string) error {
	defer s.progress(ctx, "the checks")()
	data, err := s.readProof(file)
	var document *document
	if err == nil && v.document != "" {
		document, err = s.readDocument(v.document)
	}
	if err != nil && exitCode(err) == exitUsage {
		return err
	}
	view := &verdict{File: file, NotProven: []string{}}
	if err == nil {
		switch {
		case bytes.HasPrefix(data, []byte(receiptMagic)):
			view.Kind = kindReceipt
			err = verifyReceipt(ctx, view, p, data, document)
		case bytes.HasPrefix(data, []byte(coseMagic)):
			view.Kind = kindCOSE
			err = s.verifyAttestation(ctx, g, view, p, data, document)
		case len(data) == 0:
			err = hint(fmt.Errorf("%s is empty", file), receiptHint)
		default:
			err = hint(fmt.Errorf("%s is no receipt", file), receiptHint)
		}
	}
	if err != nil && exitCode(err) == exitUsage {
		return err
	}
	view.Verified = err == nil
	if err != nil {
		view.Problem = textOf(err)
	}
	if g.json || err == nil {
		err = errors.Join(err, s.show(g, view, view.text))
	}
	return err
}

const receiptHint = "`althing tx receipt ID -o FILE` writes receipts"

// readProof reads a file that is checked.
func (s *streams) readProof(file string) ([]byte, error) {
	in, err := s.open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	data, err := io.ReadAll(io.LimitReader(in, maxProof+1))
	if err != nil {
		return nil, badPath(file, err)
	}
	if len(data) > maxProof {
		return nil, hint(fmt.Errorf("%s is no receipt: it has more than %d bytes", file, maxProof), receiptHint)
	}
	return data, nil
}

// open opens a file, or standard input for -.
func (s *streams) open(file string) (io.ReadCloser, error) {
	if file == toStdout {
		return io.NopCloser(s.in), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, badPath(file, err)
	}
	return f, nil
}

// document is a file that a receipt may be about.
type document struct {
	file string
	*recordsv1.ContentHash
}

func (s *streams) readDocument(file string) (*document, error) {
	in, err := s.open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	hash, err := hashContent(in)
	if err != nil {
		return nil, badPath(file, err)
	}
	return &document{file, hash}, nil
}

// hashContent returns the hash of everything that is read, however much it is.
func hashContent(in io.Reader) (*recordsv1.ContentHash, error) {
	h := sha256.New()
	size, err := io.Copy(h, in)
	if err != nil {
		return nil, err
	}
	return &recordsv1.ContentHash{Sha256: h.Sum(nil), Size: uint64(size)}, nil
}

// verifyReceipt fills the view with what a receipt proves. What holds is in it even where something else does not.
func verifyReceipt(ctx context.Context, view *verdict, p pins, data []byte, d *document) error {
	report, err := verify.Receipt(data, p.ReceiptOptions)
	if err != nil {
		return receiptError(view.File, err)
	}
	receipt, err := verify.DecodeReceipt(data)
	if err != nil {
		return receiptError(view.File, err)
	}
	if err := view.fill(ctx, report, receipt, p); err != nil {
		return err
	}
	if d == nil {
		return nil
	}
	view.Document = &documentView{File: d.file, SHA256: hex.EncodeToString(d.Sha256), Size: d.Size, Operation: -1}
	return matchDocument(view.Document, report.Transaction, d)
}

// receiptError says what is wrong with a receipt, and what to do.
func receiptError(file string, err error) error {
	text := "it is not what was written: fetch it again with `althing tx receipt ID -o FILE`, or ask for it again whoever gave it to you"
	switch {
	case errors.Is(err, verify.ErrWrongNetwork):
		text = "it is of another network than the one you named, or damaged: check --genesis, --network and " + networkVariable
	case errors.Is(err, verify.ErrFormat):
		text = "a newer version of this program may know it"
	case errors.Is(err, verify.ErrConflict):
		text = "validators have signed two histories, or it was put together from parts that do not belong together: keep it, and ask the members"
	case errors.Is(err, verify.ErrAnchor):
		text = "`althing tx receipt ID --anchor HEIGHT -o FILE` writes one that leads to that header; check --trust"
	}
	return hint(fmt.Errorf("%s does not hold: %w", file, err), "%s", text)
}

// errDocument is why --file fails though the receipt holds.
var errDocument = errors.New("the receipt holds, but not for this document")

// matchDocument looks for a write of the document in a proven transaction.
func matchDocument(view *documentView, t *verify.Transaction, d *document) error {
	if t.Code != ledgerv1.Code_CODE_OK {
		return hint(fmt.Errorf("%w: the transaction is proven to have been rejected, with %s: it recorded nothing", errDocument, tx.Reason(t.Code)),
			"ask for the receipt of a transaction that was applied")
	}
	recorded := 0
	for i, op := range t.Body.GetOperations() {
		put := op.GetRecordPut()
		if put == nil {
			continue
		}
		recorded++
		if !isContent(put, d) {
			continue
		}
		view.Matches, view.Record, view.Operation = true, put.Record, i
		for _, e := range t.Events.GetEvents() {
			if w := e.GetRecordWritten(); w != nil && e.Operation == uint32(i) {
				view.Version = w.Version
			}
		}
		return nil
	}
	if recorded == 0 {
		return hint(fmt.Errorf("%w: the transaction wrote no record", errDocument), "take the receipt of the transaction that recorded the document; "+
			"without --file, verify says what this one did")
	}
	err := fmt.Errorf("%w: nothing that the transaction recorded has the SHA-256 %x and %s of %s", errDocument, d.Sha256, plural(d.Size, "byte"), d.file)
	return hint(err, "one bit makes the difference: compare with the document that was recorded; without --file, verify says what that was")
}

// isContent reports whether a document is what an operation wrote, or stands behind the hash that it wrote.
func isContent(put *recordsv1.Put, d *document) bool {
	switch content := put.Content.(type) {
	case *recordsv1.Put_Hash:
		return bytes.Equal(content.Hash.GetSha256(), d.Sha256) && content.Hash.GetSize() == d.Size
	case *recordsv1.Put_Data:
		sum := sha256.Sum256(content.Data)
		return bytes.Equal(sum[:], d.Sha256)
	default:
		return false
	}
}
