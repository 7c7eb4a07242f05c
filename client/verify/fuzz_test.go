package verify

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	ics23 "github.com/cosmos/ics23/go"

	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// golden are receipts that verify.
func golden(f *testing.F) (all []*proofv1.Receipt, files [][]byte) {
	paths, err := filepath.Glob("testdata/*.receipt")
	if err != nil || len(paths) == 0 {
		f.Fatal("no golden receipts", err)
	}
	for _, path := range paths {
		file, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		r, err := DecodeReceipt(file)
		if err != nil {
			f.Fatal(err)
		}
		all, files = append(all, r), append(files, file)
	}
	return all, files
}

func genesisOf(r *proofv1.Receipt) [32]byte { return sha256.Sum256(r.GetLineage().GetGenesis()) }

// FuzzReceipt checks that whatever verifies is one of the receipts it began with: nobody can make another without the keys.
func FuzzReceipt(f *testing.F) {
	_, files := golden(f)
	known := make(map[string]bool)
	for _, file := range files {
		f.Add(file)
		known[string(file)] = true
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		report, err := Receipt(file, ReceiptOptions{})
		if (report == nil) != (err != nil) {
			t.Fatal(report, err)
		}
		if err == nil && !known[string(file)] && !soundlyAltered(known, file) {
			t.Fatalf("it verifies: %x", file)
		}
	})
}

// soundlyAltered reports whether a receipt differs from a known one in what DESIGN.md says somebody may do to it: leave votes
// out that are not needed, leave the proof of the state out, or say another place on the right side of the tree.
func soundlyAltered(known map[string]bool, file []byte) bool {
	altered, err := DecodeReceipt(file)
	if err != nil {
		return false
	}
	for original := range known {
		o, err := DecodeReceipt([]byte(original))
		if err != nil {
			continue
		}
		if string(o.Transaction.Tx) == string(altered.Transaction.Tx) && string(o.Transaction.Result.Data) == string(altered.Transaction.Result.Data) &&
			string(o.Transaction.Header) == string(altered.Transaction.Header) && string(o.Transaction.Events) == string(altered.Transaction.Events) &&
			string(o.Transaction.Signed.Header) == string(altered.Transaction.Signed.Header) {
			return true
		}
	}
	return false
}

// FuzzKeys checks a proof against a root that it makes itself, so that everything behind the first hash is reached too: with a
// root that a liar chooses anything may hold, and nothing may panic.
func FuzzKeys(f *testing.F) {
	all, _ := golden(f)
	for _, r := range all {
		if len(r.Transaction.Keys) > 0 {
			f.Add(r.Transaction.Keys)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := decodeKeys(raw); err != nil {
			return
		}
		proof := new(ics23.CommitmentProof)
		if err := proof.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		root := make([]byte, 32)
		if first := proof.GetCompressed().Entries[0].GetExist(); first != nil && first.Leaf != nil {
			exist := &ics23.ExistenceProof{Key: first.Key, Value: first.Value, Leaf: first.Leaf}
			for _, step := range first.Path {
				if step < 0 || int(step) >= len(proof.GetCompressed().LookupInners) {
					return
				}
				exist.Path = append(exist.Path, proof.GetCompressed().LookupInners[step])
			}
			if made, err := exist.Calculate(); err == nil {
				root = made
			}
		}
		entries, err := checkKeys(raw, root)
		if err != nil {
			return
		}
		w := &Witness{entries: entries}
		for _, e := range entries {
			if _, err := w.Get(e.key); err != nil {
				t.Fatal(err)
			}
			_ = w.Scan(e.key, nil, func(_, value []byte) (bool, error) {
				if len(value) == 0 {
					t.Fatal("a key without a value")
				}
				return true, nil
			})
		}
	})
}

// FuzzState checks proofs of states as they come over the wire.
func FuzzState(f *testing.F) {
	all, _ := golden(f)
	var trusts []*Trust
	for _, r := range all {
		p := &proofv1.StateProof{Height: 4, Signed: r.Transaction.Signed, Header: r.Transaction.Header, Keys: r.Transaction.Keys}
		raw, err := p.MarshalVTStrict()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		t := NewTrust(r.ChainId, genesisOf(r))
		if err := t.Extend(r.Lineage); err != nil {
			f.Fatal(err)
		}
		trusts = append(trusts, t)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := new(proofv1.StateProof)
		if p.UnmarshalVT(raw) != nil {
			return
		}
		for _, trust := range trusts {
			if w, err := trust.State(p); (w == nil) != (err != nil) {
				t.Fatal(w, err)
			}
		}
	})
}

// FuzzLineage checks that a lineage that is taken is a beginning of the one that is known.
func FuzzLineage(f *testing.F) {
	all, _ := golden(f)
	for _, r := range all {
		raw, err := r.Lineage.MarshalVTStrict()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l := new(proofv1.Lineage)
		if l.UnmarshalVT(raw) != nil {
			return
		}
		for _, r := range all {
			trust := NewTrust(r.ChainId, genesisOf(r))
			if trust.Extend(l) != nil {
				continue
			}
			if string(l.Genesis) != string(r.Lineage.Genesis) {
				t.Fatal("another genesis document is taken")
			}
			for i, set := range trust.known()[1:] {
				h, err := parseHeader(r.Lineage.Links[i].Signed.Header, r.ChainId)
				if err != nil || string(h.Hash) != string(set.announced.Hash) {
					t.Fatal("another change is taken")
				}
			}
		}
	})
}
