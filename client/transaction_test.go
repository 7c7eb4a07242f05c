package client_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const chainID = "test-01234567"

func newKey(t *testing.T, scheme keys.Scheme) keys.PrivateKey {
	t.Helper()
	key, err := keys.Generate(scheme, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func draftOf(operations ...*ledgerv1.Operation) client.Draft {
	return client.Draft{Operations: operations, Payer: "globex/treasury", Memo: "hello"}
}

func TestTransactionCollectsSignatures(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	built, err := client.NewTransaction(chainID, draftOf(createAsset("acme/usd")), now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !built.ExpiresAt().Equal(now.Add(client.DefaultExpiry)) || built.Payer() != "globex/treasury" || built.Body().Memo != "hello" {
		t.Fatalf("body %v", built.Body())
	}
	id, admin := built.ID(), newKey(t, keys.SchemeEd25519)
	if err := built.Sign("initech/admin", admin); !errors.Is(err, client.ErrTransaction) {
		t.Fatalf("a signature nobody asked for: %v", err)
	}
	if err := built.Sign("acme/admin"); !errors.Is(err, client.ErrNoKey) {
		t.Fatalf("no key: %v", err)
	}
	for range 2 { // the second time adds nothing
		if err := built.Sign("acme/admin", admin); err != nil {
			t.Fatal(err)
		}
	}
	if got := built.Missing(); len(got) != 1 || got[0] != "globex/treasury" || len(built.Signatures()) != 1 {
		t.Fatalf("missing %v, signatures %d", got, len(built.Signatures()))
	}

	path := filepath.Join(t.TempDir(), "T")
	if err := client.SaveTransaction(path, built); err != nil {
		t.Fatal(err)
	}
	loaded, err := client.LoadTransaction(path)
	if err != nil || loaded.ID() != id || loaded.ChainID() != chainID {
		t.Fatalf("loaded %v, %v", loaded, err)
	}
	if err := loaded.Sign("globex/treasury", newKey(t, keys.SchemeECDSA)); err != nil {
		t.Fatal(err)
	}
	for _, s := range loaded.Signatures() {
		if err := loaded.CheckSignature(s); err != nil {
			t.Errorf("signature of %s: %v", s.Account, err)
		}
	}
	raw, err := loaded.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := tx.Decode(chainID, raw, tx.Limits{Bytes: 1 << 20, Operations: 10, Signatures: 10})
	if err != nil || decoded.ID != id {
		t.Fatalf("decoded %v, %v", decoded, err)
	}
}

func TestCosignersSignToo(t *testing.T) {
	t.Parallel()
	put := &recordsv1.Put{Record: "acme/x/1", ContentType: "text/plain", Content: &recordsv1.Put_Data{}, Cosigner: "globex/admin"}
	op := &ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_RecordPut{RecordPut: put}}
	built, err := client.NewTransaction(chainID, draftOf(op), time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(built.Missing(), " "); got != "acme/admin globex/admin globex/treasury" {
		t.Fatalf("missing %s", got)
	}
}

func TestNewTransactionRefusesWhatNodesWould(t *testing.T) {
	t.Parallel()
	bad := createAsset("acme/usd")
	bad.Account = "nobody"
	for name, draft := range map[string]client.Draft{
		"no operation": {},
		"bad account":  {Operations: []*ledgerv1.Operation{bad}},
		"long memo":    {Operations: []*ledgerv1.Operation{createAsset("acme/usd")}, Memo: strings.Repeat("x", 300)},
		"bad payer":    {Operations: []*ledgerv1.Operation{createAsset("acme/usd")}, Payer: "x"},
		"past expiry":  {Operations: []*ledgerv1.Operation{createAsset("acme/usd")}, ExpiresIn: -time.Second},
	} {
		if _, err := client.NewTransaction(chainID, draft, time.Now(), rand.Reader); !errors.Is(err, client.ErrTransaction) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTransactionFileIsStrict(t *testing.T) {
	t.Parallel()
	built, err := client.NewTransaction(chainID, draftOf(createAsset("acme/usd")), time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data, err := built.EncodeFile()
	if err != nil {
		t.Fatal(err)
	}
	good := string(data)
	for name, file := range map[string]string{
		"empty":         "",
		"not JSON":      "hello",
		"unknown field": strings.Replace(good, `"format"`, `"extra": 1, "format"`, 1),
		"format 2":      strings.Replace(good, `"format": 1`, `"format": 2`, 1),
		"another chain": strings.Replace(good, chainID, "test-76543210", 1),
		"another id":    strings.Replace(good, built.ID().String(), strings.Repeat("0", 64), 1),
		"another time":  strings.Replace(good, `"expires_at": "2`, `"expires_at": "3`, 1),
		"trailing":      good + "{}",
		"not base64":    strings.Replace(good, `"tx": "`, `"tx": "!`, 1),
		"cut off":       strings.Replace(good, `"tx": "`, `"tx": "AAAA`, 1),
	} {
		if _, err := client.DecodeFile([]byte(file)); !errors.Is(err, client.ErrTransaction) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.DecodeFile(data); err != nil {
		t.Fatal(err)
	}
	if _, err := client.LoadTransaction(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func FuzzDecodeFile(f *testing.F) {
	built, err := client.NewTransaction(chainID, draftOf(createAsset("acme/usd")), time.Unix(1e9, 0), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	data, err := built.EncodeFile()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		decoded, err := client.DecodeFile(data)
		if err != nil {
			return
		}
		again, err := decoded.EncodeFile()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.DecodeFile(again); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
