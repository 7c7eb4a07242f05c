package verify_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/client/verify"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

var rewrite = flag.Bool("rewrite", false, "write the golden receipts anew")

func TestTransaction(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	for index, want := range []ledgerv1.Code{0, ledgerv1.Code_CODE_OVERDRAFT, 0} {
		p, err := trust.Transaction(c.transaction(4, index, want == 0))
		if err != nil {
			t.Fatal(err)
		}
		o := c.blocks[3].outcomes[index]
		if !bytes.Equal(p.ID[:], o.Id) || p.Header.Height != 4 || p.Signed.Height != 5 || p.Code != want || p.Index != uint32(index) ||
			p.Body.GetMemo() == "" || len(p.Events.GetEvents()) == 0 != (want != 0) {
			t.Errorf("%d: %+v", index, p)
		}
		// The third of three stands on the right side, where the tree does not say how many are before.
		if p.PlaceProven != (index < 2) {
			t.Errorf("%d: place proven: %v", index, p.PlaceProven)
		}
		said := proto.Clone(o).(*ledgerv1.TxOutcome)
		said.Message, said.FailedOperation = "", -1
		if !proto.Equal(p.Outcome, said) {
			t.Errorf("%v, want %v", p.Outcome, said)
		}
		if (p.State != nil) != (want == 0) {
			t.Errorf("%d: state: %v", index, p.State)
		}
		if p.State != nil {
			if value, err := p.State.Get(holdingKey("globex", "bob")); err != nil || !bytes.Equal(value, []byte{2, 4}) || p.State.Height() != 4 {
				t.Errorf("%x %v", value, err)
			}
		}
	}
}

func TestTransactionRefusals(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	for name, test := range map[string]struct {
		kind   verify.ErrorKind
		change func(*proofv1.TransactionProof)
	}{
		"nothing":             {verify.ErrMalformed, func(p *proofv1.TransactionProof) { proto.Reset(p) }},
		"no transaction":      {verify.ErrMalformed, func(p *proofv1.TransactionProof) { p.Tx = nil }},
		"no inclusion":        {verify.ErrMalformed, func(p *proofv1.TransactionProof) { p.Inclusion = nil }},
		"no result":           {verify.ErrMalformed, func(p *proofv1.TransactionProof) { p.Result = nil }},
		"no result inclusion": {verify.ErrMalformed, func(p *proofv1.TransactionProof) { p.ResultInclusion = nil }},
		"another transaction": {verify.ErrProof, func(p *proofv1.TransactionProof) { p.Tx = c.blocks[3].txs[1] }},
		"result of another":   {verify.ErrProof, func(p *proofv1.TransactionProof) { p.Result = c.blocks[3].results[1] }},
		"wholly of another": {verify.ErrProof, func(p *proofv1.TransactionProof) {
			other := c.transaction(4, 1, false)
			p.Result, p.ResultInclusion = other.Result, other.ResultInclusion
		}},
		"another code":         {verify.ErrProof, func(p *proofv1.TransactionProof) { p.Result.Code = 101 }},
		"another index":        {verify.ErrProof, func(p *proofv1.TransactionProof) { p.Inclusion.Index = 1 }},
		"another total":        {verify.ErrProof, func(p *proofv1.TransactionProof) { p.Inclusion.Total = 4 }},
		"index beyond":         {verify.ErrMalformed, func(p *proofv1.TransactionProof) { p.Inclusion.Index = 3 }},
		"short aunt":           {verify.ErrMalformed, func(p *proofv1.TransactionProof) { p.Inclusion.Aunts[0] = []byte{1} }},
		"an aunt more":         {verify.ErrProof, func(p *proofv1.TransactionProof) { p.Inclusion.Aunts = append(p.Inclusion.Aunts, p.Inclusion.Aunts[0]) }},
		"many aunts":           {verify.ErrTooLarge, func(p *proofv1.TransactionProof) { p.Inclusion.Aunts = make([][]byte, 30) }},
		"other events":         {verify.ErrOutcome, func(p *proofv1.TransactionProof) { p.Events = p.Events[:len(p.Events)-2] }},
		"no events":            {verify.ErrOutcome, func(p *proofv1.TransactionProof) { p.Events = nil }},
		"another header":       {verify.ErrHeight, func(p *proofv1.TransactionProof) { p.Header = c.header(3) }},
		"another signed":       {verify.ErrHeight, func(p *proofv1.TransactionProof) { p.Signed = c.signed(6) }},
		"signed by nobody":     {verify.ErrMalformed, func(p *proofv1.TransactionProof) { p.Signed = nil }},
		"a key too few":        {verify.ErrSurplus, func(p *proofv1.TransactionProof) { p.Keys = c.prove(4, touched()[1:]...) }},
		"the last key missing": {verify.ErrNotCovered, func(p *proofv1.TransactionProof) { p.Keys = c.prove(4, touched()[:2]...) }},
		"a key too many":       {verify.ErrSurplus, func(p *proofv1.TransactionProof) { p.Keys = c.prove(4, append(touched(), []byte{0xff})...) }},
		"state of another":     {verify.ErrProof, func(p *proofv1.TransactionProof) { p.Keys = c.prove(3, touched()...) }},
		"an unknown field":     {verify.ErrNotCanonical, func(p *proofv1.TransactionProof) { p.Result.ProtoReflect().SetUnknown([]byte{0x78, 1}) }},
	} {
		p := proto.Clone(c.transaction(4, 0, true)).(*proofv1.TransactionProof)
		test.change(p)
		if _, err := trust.Transaction(p); !errors.Is(err, test.kind) {
			t.Errorf("%s: %v, want %v", name, err, test.kind)
		}
	}
	_, err := trust.Transaction(nil)
	wantKind(t, err, verify.ErrMalformed)
	// The rejected one has no events, and cannot be given some.
	p := c.transaction(4, 1, false)
	p.Events = c.blocks[3].outcomes[0].Events
	_, err = trust.Transaction(p)
	wantKind(t, err, verify.ErrOutcome)
}

// TestPlaceOnTheRight shows what the tree does not hash: the last of three can be said to be the last of two. It is another
// number on the same proof, and the report says that the number is not proven.
func TestPlaceOnTheRight(t *testing.T) {
	t.Parallel()
	c := small(t)
	r := c.receipt(4, 2, false, 0)
	for _, m := range []*proofv1.MerkleProof{r.Transaction.Inclusion, r.Transaction.ResultInclusion} {
		m.Index, m.Total = 1, 2
	}
	report, err := verify.Receipt(c.file(r), verify.ReceiptOptions{})
	if err != nil || report.Transaction.PlaceProven || !strings.Contains(strings.Join(report.NotProven, "\n"), "transaction 1 of its block") {
		t.Error(report, err)
	}
	// On the left side there is one index for a path, whatever the total.
	for index := range uint32(8) {
		for total := index + 1; total < 20; total++ {
			r := c.receipt(4, 0, false, 0)
			for _, m := range []*proofv1.MerkleProof{r.Transaction.Inclusion, r.Transaction.ResultInclusion} {
				m.Index, m.Total = index, total
			}
			report, err := verify.Receipt(c.file(r), verify.ReceiptOptions{})
			if err == nil && report.Transaction.PlaceProven && index != 0 {
				t.Errorf("number 0 of 3 passes for number %d of %d", index, total)
			}
		}
	}
}

func TestBlock(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	for height := uint64(1); height <= 5; height++ {
		for _, headerOnly := range []bool{false, true} {
			b, p := c.block(height, headerOnly)
			if err := trust.Block(b, p, headerOnly); err != nil {
				t.Errorf("block %d: %v", height, err)
			}
		}
	}
	b, _ := c.block(5, false)
	if err := trust.Block(b, &proofv1.BlockProof{Signed: c.signed(5)}, false); err != nil {
		t.Error("an idle block by its own header:", err)
	}
	for name, test := range map[string]struct {
		kind   verify.ErrorKind
		change func(*ledgerv1.Block, *proofv1.BlockProof)
	}{
		"height":      {verify.ErrHeight, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Height = 3 }},
		"time":        {verify.ErrHeight, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Time.Nanos++ }},
		"no time":     {verify.ErrHeight, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Time = nil }},
		"hash":        {verify.ErrHash, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Hash = b.AppHash }},
		"app hash":    {verify.ErrHash, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.AppHash = b.Hash }},
		"transaction": {verify.ErrHash, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Txs[0] = b.Txs[1] }},
		"one less":    {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Txs = b.Txs[:2] }},
		"count":       {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.TxCount++ }},
		"no count":    {verify.ErrHash, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.TxCount = 0 }},
		"nil outcome": {verify.ErrMalformed, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Outcomes[0] = nil }},
		"nil result":  {verify.ErrMalformed, func(_ *ledgerv1.Block, p *proofv1.BlockProof) { p.Results[0] = nil }},
		"outcomes swap": {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) {
			b.Outcomes[0], b.Outcomes[1] = b.Outcomes[1], b.Outcomes[0]
		}},
		"results swap": {verify.ErrHash, func(_ *ledgerv1.Block, p *proofv1.BlockProof) {
			p.Results[0], p.Results[1] = p.Results[1], p.Results[0]
		}},
		"code":            {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Outcomes[1].Code = 0 }},
		"index":           {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Outcomes[1].Index = 7 }},
		"outcome height":  {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Outcomes[1].Height = 3 }},
		"outcome time":    {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Outcomes[1].TimeUnixNano++ }},
		"id":              {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Outcomes[1].Id = b.Outcomes[0].Id }},
		"no id":           {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Outcomes[1].Id = nil }},
		"events":          {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Outcomes[0].Events = nil }},
		"events rejected": {verify.ErrOutcome, func(b *ledgerv1.Block, _ *proofv1.BlockProof) { b.Outcomes[1].Events = b.Outcomes[0].Events }},
		"no header":       {verify.ErrMalformed, func(_ *ledgerv1.Block, p *proofv1.BlockProof) { p.Header = nil }},
		"own header":      {verify.ErrHeight, func(_ *ledgerv1.Block, p *proofv1.BlockProof) { p.Header, p.Signed = nil, c.signed(4) }},
		"unknown field":   {verify.ErrNotCanonical, func(_ *ledgerv1.Block, p *proofv1.BlockProof) { p.ProtoReflect().SetUnknown([]byte{0x78, 1}) }},
	} {
		b, p := c.block(4, false)
		b, p = proto.Clone(b).(*ledgerv1.Block), proto.Clone(p).(*proofv1.BlockProof)
		test.change(b, p)
		if err := trust.Block(b, p, false); !errors.Is(err, test.kind) {
			t.Errorf("%s: %v, want %v", name, err, test.kind)
		}
	}
	// What no header commits to may say anything.
	b, p := c.block(4, false)
	b = proto.Clone(b).(*ledgerv1.Block)
	b.Proposer, b.Outcomes[1].Message, b.Outcomes[1].FailedOperation = "x", "y", 5
	if err := trust.Block(b, p, false); err != nil {
		t.Error(err)
	}
	b, p = c.block(4, false)
	wantKind(t, trust.Block(b, p, true), verify.ErrSurplus)
	wantKind(t, trust.Block(nil, nil, true), verify.ErrMalformed)
}

func TestReceiptAcrossTenChanges(t *testing.T) {
	t.Parallel()
	c := changing(t)
	top := uint64(len(c.blocks))
	for height := uint64(2); height < top; height++ {
		if len(c.blocks[height-1].txs) == 0 {
			continue
		}
		report, err := verify.Receipt(c.file(c.receipt(height, 0, true, 0)), verify.ReceiptOptions{GenesisHash: c.genesisHash[:]})
		if err != nil {
			t.Fatal(err)
		}
		b := c.blocks[height]
		if report.ChainID != c.id || report.GenesisHash != c.genesisHash || !report.GenesisPinned || report.Anchored || report.Validators != 4 ||
			len(report.Signers) != 4 || report.SignedPower != report.TotalPower || report.TotalPower != uint64(b.set.TotalVotingPower()) ||
			report.Changes != len(c.lineage(0, height+1).Links) {
			t.Errorf("block %d: %+v", height, report)
		}
		for i, s := range report.Signers {
			want := ""
			for n := range 4 {
				if bytes.Equal(s.PublicKey, secret(n).PubKey().Bytes()) {
					want = "node-" + string(rune('0'+n))
				}
			}
			if s.Name != want || (want != "") != (s.Org == "acme") || !s.Time.Equal(b.commit.Signatures[i].Timestamp) {
				t.Errorf("signer %d: %+v", i, s)
			}
		}
	}
	if changes := len(c.lineage(0, top).Links); changes != 10 {
		t.Error(changes)
	}
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	c := changing(t)
	top := uint64(len(c.blocks))
	const height = 6
	keysOf := func(r *verify.Report) string {
		for _, line := range r.NotProven {
			if strings.Contains(line, "keys of validators") {
				return line
			}
		}
		return ""
	}
	for _, anchor := range []uint64{1, 2, 5, 6, 8, 10, top} {
		file := c.file(c.receipt(height, 0, true, anchor))
		// Every header of the receipt can be trusted.
		for at := min(anchor, height); at <= max(anchor, height+1); at++ {
			hash := c.blocks[at-1].header.Hash()
			report, err := verify.Receipt(file, verify.ReceiptOptions{AnchorHeight: at, AnchorHash: hash})
			if err != nil || !report.Anchored {
				t.Errorf("anchor %d, trusting %d: %v", anchor, at, err)
				continue
			}
			if line := keysOf(report); (line == "") != (at > height) {
				t.Errorf("anchor %d, trusting %d: %q", anchor, at, line)
			}
			_, err = verify.Receipt(file, verify.ReceiptOptions{AnchorHeight: at, AnchorHash: bytes.Repeat([]byte{1}, 32)})
			wantKind(t, err, verify.ErrAnchor)
		}
		_, err := verify.Receipt(file, verify.ReceiptOptions{AnchorHeight: top + 1, AnchorHash: bytes.Repeat([]byte{1}, 32)})
		wantKind(t, err, verify.ErrAnchor)
	}
	// Without an anchor the headers of changes are there to be trusted.
	file := c.file(c.receipt(height, 0, false, 0))
	report, err := verify.Receipt(file, verify.ReceiptOptions{AnchorHeight: 3, AnchorHash: c.blocks[2].header.Hash()})
	if err != nil || !strings.Contains(keysOf(report), "from 4 to 7") {
		t.Error(report, err)
	}
	for _, o := range []verify.ReceiptOptions{
		{GenesisHash: []byte{1}}, {AnchorHeight: 3}, {AnchorHash: make([]byte, 32)}, {AnchorHeight: 3, AnchorHash: make([]byte, 31)},
	} {
		_, err := verify.Receipt(file, o)
		wantKind(t, err, verify.ErrMalformed)
	}
}

func TestReceiptRefusals(t *testing.T) {
	t.Parallel()
	c := changing(t)
	top := uint64(len(c.blocks))
	other := small(t)
	for name, test := range map[string]struct {
		kind   verify.ErrorKind
		change func(*proofv1.Receipt)
	}{
		"nothing proven":    {verify.ErrMalformed, func(r *proofv1.Receipt) { r.Transaction = nil }},
		"no lineage":        {verify.ErrMalformed, func(r *proofv1.Receipt) { r.Lineage = nil }},
		"another network":   {verify.ErrWrongNetwork, func(r *proofv1.Receipt) { r.ChainId = other.id }},
		"another lineage":   {verify.ErrWrongNetwork, func(r *proofv1.Receipt) { r.Lineage = other.lineage(0, 6) }},
		"of another":        {verify.ErrWrongNetwork, func(r *proofv1.Receipt) { r.Transaction = other.transaction(2, 0, false) }},
		"lineage too long":  {verify.ErrSurplus, func(r *proofv1.Receipt) { r.Lineage = c.lineage(0, top) }},
		"lineage too short": {verify.ErrUnknownValidators, func(r *proofv1.Receipt) { r.Lineage = c.lineage(0, 5) }},
		"one between less":  {verify.ErrHeight, func(r *proofv1.Receipt) { r.Anchor.Between = r.Anchor.Between[1:] }},
		"one between twice": {verify.ErrHeight, func(r *proofv1.Receipt) { r.Anchor.Between[1] = r.Anchor.Between[0] }},
		"swapped between": {verify.ErrHeight, func(r *proofv1.Receipt) {
			r.Anchor.Between[1], r.Anchor.Between[0] = r.Anchor.Between[0], r.Anchor.Between[1]
		}},
		"anchor itself": {verify.ErrSurplus, func(r *proofv1.Receipt) {
			r.Anchor = &proofv1.Anchor{Signed: r.Transaction.Signed}
			r.Lineage = c.lineage(0, 7)
		}},
		"empty anchor": {verify.ErrMalformed, func(r *proofv1.Receipt) { r.Anchor = &proofv1.Anchor{} }},
	} {
		r := proto.Clone(c.receipt(6, 0, true, 10)).(*proofv1.Receipt)
		test.change(r)
		if _, err := verify.Receipt(c.file(r), verify.ReceiptOptions{}); !errors.Is(err, test.kind) {
			t.Errorf("%s: %v, want %v", name, err, test.kind)
		}
	}
	file := c.file(c.receipt(6, 0, true, 0))
	_, err := verify.Receipt(file, verify.ReceiptOptions{GenesisHash: make([]byte, 32)})
	wantKind(t, err, verify.ErrWrongNetwork)

	newer := c.receipt(6, 0, true, 0)
	newer.Format = 2
	_, err = verify.EncodeReceipt(newer)
	wantKind(t, err, verify.ErrFormat)
	for name, test := range map[string]struct {
		kind verify.ErrorKind
		file []byte
	}{
		"empty":          {verify.ErrMalformed, nil},
		"no magic":       {verify.ErrMalformed, file[8:]},
		"only the magic": {verify.ErrFormat, file[:8]},
		"another magic":  {verify.ErrMalformed, append([]byte("ALTHRCPT"), file[8:]...)},
		"trailing zero":  {verify.ErrMalformed, append(bytes.Clone(file), 0)},
		"unknown field":  {verify.ErrNotCanonical, append(bytes.Clone(file), 0x78, 1)},
		"format twice":   {verify.ErrNotCanonical, append(bytes.Clone(file), 0x08, 1)},
		"two receipts":   {verify.ErrNotCanonical, append(bytes.Clone(file), file[8:]...)},
		"long format":    {verify.ErrNotCanonical, append([]byte("althrcpt\x08\x81\x00"), file[10:]...)},
		"many parts":     {verify.ErrTooLarge, append([]byte("althrcpt\x2a\xff\xff\x03"), bytes.Repeat([]byte{0x0a, 0}, 1<<15)[:65535]...)},
		"too large":      {verify.ErrTooLarge, make([]byte, 65<<20)},
	} {
		if _, err := verify.Receipt(test.file, verify.ReceiptOptions{}); !errors.Is(err, test.kind) {
			t.Errorf("%s: %v, want %v", name, err, test.kind)
		}
		if _, err := verify.DecodeReceipt(test.file); !errors.Is(err, test.kind) {
			t.Errorf("%s, decoding: %v", name, err)
		}
	}
}

// TestForgedAnchor connects headers that the validators signed by others that they did not.
func TestForgedAnchor(t *testing.T) {
	t.Parallel()
	c := changing(t)
	r := c.receipt(6, 0, false, 10)
	b := *c.blocks[7]
	b.header.Time = b.header.Time.Add(1)
	r.Anchor.Between[0] = encode(t, b.header.ToProto())
	_, err := verify.Receipt(c.file(r), verify.ReceiptOptions{})
	wantKind(t, err, verify.ErrHash)
}

// receiptKinds are receipts of every shape.
func receiptKinds(t testing.TB) map[string][]byte {
	c, s := changing(t), small(t)
	return map[string][]byte{
		"applied":      s.file(s.receipt(4, 0, false, 0)),
		"rejected":     s.file(s.receipt(4, 1, false, 0)),
		"state":        s.file(s.receipt(4, 2, true, 0)),
		"alone":        s.file(s.receipt(2, 0, true, 0)),
		"anchor-later": s.file(s.receipt(2, 0, true, 5)),
		"anchor-early": s.file(s.receipt(4, 0, false, 2)),
		"ten-changes":  c.file(c.receipt(uint64(len(c.blocks)-1), 0, true, 0)),
	}
}

// TestGoldenReceipts holds receipts against files, which other languages can be held against.
func TestGoldenReceipts(t *testing.T) {
	t.Parallel()
	for name, file := range receiptKinds(t) {
		path := filepath.Join("testdata", name+".receipt")
		report, err := verify.Receipt(file, verify.ReceiptOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p := report.Transaction
		words := "file " + name + ".receipt\nchain " + report.ChainID + "\ngenesis " + hex.EncodeToString(report.GenesisHash[:]) +
			"\ntransaction " + tx.ID(p.ID).String() + "\ncode " + tx.Reason(p.Code) + "\nheader " + hex.EncodeToString(p.Header.Hash) +
			"\nsigned " + hex.EncodeToString(p.Signed.Hash) + "\n\nnot proven:\n- " + strings.Join(report.NotProven, "\n- ") + "\n"
		for golden, content := range map[string][]byte{path: file, filepath.Join("testdata", name+".txt"): []byte(words)} {
			if *rewrite {
				if err := os.WriteFile(golden, content, 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(golden)
			if err != nil || !bytes.Equal(want, content) {
				t.Errorf("%s is not what the code gives (%v); if that is meant, run `go test ./client/verify -rewrite` and read the diff", golden, err)
			}
		}
	}
}
