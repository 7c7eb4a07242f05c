package network

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/loadgen"
	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	outcome := func(code ledgerv1.Code) *ledgerv1.TxOutcome { return &ledgerv1.TxOutcome{Height: 7, Code: code} }
	for name, c := range map[string]struct {
		told *ledgerv1.SubmitStreamResponse
		want loadgen.Answer
	}{
		"committed": {
			&ledgerv1.SubmitStreamResponse{Status: ledgerv1.TxStatus_TX_STATUS_COMMITTED, Outcome: outcome(0)},
			loadgen.Answer{Status: loadgen.Committed, Height: 7},
		},
		"rejected": {
			&ledgerv1.SubmitStreamResponse{Status: ledgerv1.TxStatus_TX_STATUS_REJECTED, Outcome: outcome(ledgerv1.Code_CODE_OVERDRAFT)},
			loadgen.Answer{Status: loadgen.Committed, Height: 7, Code: uint32(ledgerv1.Code_CODE_OVERDRAFT), Reason: "OVERDRAFT"},
		},
		"expired": {
			&ledgerv1.SubmitStreamResponse{Status: ledgerv1.TxStatus_TX_STATUS_EXPIRED},
			loadgen.Answer{Status: loadgen.Refused, Reason: "EXPIRED"},
		},
		"pending": {
			&ledgerv1.SubmitStreamResponse{Status: ledgerv1.TxStatus_TX_STATUS_PENDING},
			loadgen.Answer{Status: loadgen.Undecided, Reason: "PENDING"},
		},
		"full": {
			&ledgerv1.SubmitStreamResponse{RefusedReason: "FULL", RetryAfterMs: 40},
			loadgen.Answer{Status: loadgen.Busy, Reason: "FULL", RetryAfter: 40 * time.Millisecond},
		},
		"refused": {
			&ledgerv1.SubmitStreamResponse{RefusedReason: "UNKNOWN_ACCOUNT", RefusedCode: uint32(ledgerv1.Code_CODE_UNKNOWN_ACCOUNT)},
			loadgen.Answer{Status: loadgen.Refused, Reason: "UNKNOWN_ACCOUNT", Code: uint32(ledgerv1.Code_CODE_UNKNOWN_ACCOUNT)},
		},
		"not following": {
			&ledgerv1.SubmitStreamResponse{RefusedReason: "NOT_READY"},
			loadgen.Answer{Status: loadgen.Undecided, Reason: "NOT_READY"},
		},
	} {
		c.want.Tag = 3
		if got := answer(3, c.told); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestOptionsSayAllThatIsWrong(t *testing.T) {
	t.Parallel()
	err := Options{Kind: "tea", Accounts: 1, Hot: 2, RecordBytes: MaxRecordBytes + 1, MemoBytes: -1}.Validate()
	if !errors.Is(err, ErrOptions) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{`"tea"`, "1 accounts", "hot share is 2", "records of", "a memo of -1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told: %v", want, err)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}

// theNetwork is a network file of two organisations, with the keys of their admins.
func theNetwork(t *testing.T) *client.Network {
	t.Helper()
	hash := strings.Repeat("ab", 32)
	n := &client.Network{ChainID: "test-" + hash[:8], GenesisHash: hash, KeysDir: t.TempDir()}
	for i, org := range []string{"acme", "globex"} {
		n.Nodes = append(n.Nodes, client.Node{Name: org + "-1", Org: org, GRPC: fmt.Sprintf("127.0.0.1:%d", 20000+i)})
		path, err := n.KeyPath(org+"/admin", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := saveKey(path); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestTransactionsAreWhatTheLedgerTakes(t *testing.T) {
	t.Parallel()
	file := theNetwork(t)
	limits := tx.Limits{Bytes: 256 << 10, Operations: 100, Signatures: 64}
	for _, scheme := range []keys.Scheme{keys.SchemeSchnorr, keys.SchemeECDSA, keys.SchemeEd25519} {
		for _, kind := range Kinds {
			w, err := New(file, Options{Kind: kind, Scheme: scheme, Accounts: 20, Senders: 4, Hot: 0.5, MemoBytes: 10})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[loadgen.ID]bool{}
			for i := range 20 {
				made, err := w.Make(i%4, time.Now().Add(time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				decoded, err := tx.Decode(file.ChainID, made.Raw, limits)
				if err != nil || loadgen.ID(decoded.ID) != made.ID || seen[made.ID] || len(decoded.Body.Memo) != 10 {
					t.Fatalf("%s %s: %v, %v", kind, scheme, decoded, err)
				}
				seen[made.ID] = true
				for _, s := range decoded.Signatures {
					public, err := keys.ParsePublicKey(keys.Scheme(s.Scheme), s.PublicKey)
					if err != nil || public.Verify(decoded.ID, s.Signature) != nil {
						t.Fatalf("%s %s: a signature is wrong: %v", kind, scheme, err)
					}
				}
				for _, op := range decoded.Body.Operations {
					if op.GetAssetTransfer() != nil && op.GetAssetTransfer().To == op.Account {
						t.Fatalf("%s pays itself", op.Account)
					}
				}
			}
		}
	}
}

func TestEveryAccountIsCreatedOnce(t *testing.T) {
	t.Parallel()
	file := theNetwork(t)
	w, err := New(file, Options{Kind: DVP, Accounts: 101, Senders: 10})
	if err != nil {
		t.Fatal(err)
	}
	created, minted := map[string]bool{}, map[string]int{}
	var broken error
	for raw := range w.creations(33, &broken) {
		decoded, err := tx.Decode(file.ChainID, raw, tx.Limits{Bytes: 256 << 10, Operations: 100, Signatures: 64})
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range decoded.Body.Operations {
			if c := op.GetAccountCreate(); c != nil {
				if created[c.Name] || !strings.HasPrefix(c.Name, decoded.PayerOrg+"/") {
					t.Errorf("%s is created by %s, before: %v", c.Name, decoded.Payer, created[c.Name])
				}
				created[c.Name] = true
			}
			if m := op.GetAssetMint(); m != nil {
				minted[m.Asset]++
			}
		}
	}
	if broken != nil || len(created) != 101 || minted[w.cash] != 101 || minted[w.paper] != 10 {
		t.Errorf("%d accounts, funded %v, %v", len(created), minted, broken)
	}
	if _, err := New(&client.Network{Nodes: file.Nodes, KeysDir: t.TempDir()}, Options{}); !errors.Is(err, client.ErrNoKey) {
		t.Errorf("without keys: %v", err)
	}
}

func TestCommonBlock(t *testing.T) {
	t.Parallel()
	at := func(heights ...uint64) (all []client.NodeStatus) {
		for _, h := range heights {
			n := client.NodeStatus{Status: &ledgerv1.GetStatusResponse{Height: h}}
			if h == 0 {
				n = client.NodeStatus{Err: client.ErrUnreachable}
			}
			all = append(all, n)
		}
		return all
	}
	for name, c := range map[string]struct {
		all     []client.NodeStatus
		height  uint64
		missing string
		away    int
	}{
		"all are there":   {at(12, 10, 11), 10, "", 0},
		"one is down":     {at(12, 0, 11), 11, "[1]", 1},
		"one is behind":   {at(12, 9, 11), 11, "[1]", 0},
		"both":            {at(9, 0, 11), 11, "[0 1]", 1},
		"all are behind":  {at(9, 8, 7), 0, "[0 1 2]", 0},
		"nobody is there": {at(0, 0), 0, "[0 1]", 2},
		"just far enough": {at(10, 10), 10, "", 0},
	} {
		height, missing, away := common(c.all, 10)
		told := ""
		if len(missing) > 0 {
			told = fmt.Sprint(slices.Sorted(maps.Keys(missing)))
		}
		if height != c.height || told != c.missing || away != c.away {
			t.Errorf("%s: block %d, missing %s, %d away; want %d, %s, %d", name, height, told, away, c.height, c.missing, c.away)
		}
	}
}

func TestMetricsPage(t *testing.T) {
	t.Parallel()
	page := "# HELP process_cpu_seconds_total x\nprocess_cpu_seconds_total 12.5\nprocess_resident_memory_bytes 3e+08\n" +
		"althing_database_disk_bytes 1024\nalthing_other{a=\"b c\"} 3\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(page))
	}))
	defer server.Close()
	got, err := NewMetricsPage(strings.TrimPrefix(server.URL, "http://")).Sample(t.Context())
	if want := (loadgen.Usage{CPU: 12500 * time.Millisecond, RSS: 300_000_000, Disk: 1024}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	server.Close()
	if got, err := NewMetricsPage(strings.TrimPrefix(server.URL, "http://")).Sample(t.Context()); err == nil || got.CPU >= 0 || got.RSS >= 0 || got.Disk >= 0 {
		t.Errorf("a page that is gone: %+v, %v", got, err)
	}
}

func saveKey(path string) error {
	key, err := keys.Generate(keys.SchemeSchnorr, nil)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return keys.SaveFile(path, key)
}
