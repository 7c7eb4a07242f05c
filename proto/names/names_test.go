package names

import (
	"errors"
	"strings"
	"testing"
)

func TestParts(t *testing.T) {
	t.Parallel()
	good := []string{"ab", "acme", "a0", "a-", "org-5", strings.Repeat("a", MaxPart)}
	wrong := []string{"", "a", "0a", "-a", "Acme", "ac me", "acmé", "a\x00b", "a/b", "a_b", strings.Repeat("a", MaxPart+1)}
	for _, name := range good {
		if err := Org(name); err != nil {
			t.Errorf("Org(%q): %v", name, err)
		}
	}
	for _, name := range append(wrong, "althing") {
		var e *Error
		if err := Org(name); !errors.As(err, &e) {
			t.Errorf("Org(%q) = %v, want an *Error", name, err)
		}
	}
	if Role("althing") != nil || Node("althing") != nil {
		t.Error("only organisations may not be called althing")
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	if org, err := Account("acme/alice"); err != nil || org != "acme" {
		t.Errorf("Account = %q, %v", org, err)
	}
	for _, name := range []string{"acme", "acme/", "/alice", "acme/alice/x", "acme//alice", "althing/alice", "acme/Alice", "acme /alice"} {
		if _, err := Account(name); err == nil {
			t.Errorf("Account(%q) passed", name)
		}
		if _, err := Asset(name); err == nil {
			t.Errorf("Asset(%q) passed", name)
		}
		if _, err := Collection(name); err == nil {
			t.Errorf("Collection(%q) passed", name)
		}
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	collection, id, err := Record("acme/invoices/2026-001.v_2")
	if err != nil || collection != "acme/invoices" || id != "2026-001.v_2" {
		t.Errorf("Record = %q, %q, %v", collection, id, err)
	}
	for _, name := range []string{"", "acme/invoices", "acme/invoices/", "acme/invoices/.x", "acme/invoices/-x", "acme/invoices/a/b",
		"acme/invoices/a b", "acme/invoices/" + strings.Repeat("a", MaxRecordID+1), "acme/i/1", "ACME/invoices/1"} {
		if _, _, err := Record(name); err == nil {
			t.Errorf("Record(%q) passed", name)
		}
	}
}
