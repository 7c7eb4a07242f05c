package queries_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/althing-ledger/althing/app/queries"
	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// services are those whose files no question brings along.
var services = []protoreflect.FileDescriptor{historyv1.File_althing_history_v1_service_proto, ledgerv1.File_althing_ledger_v1_service_proto}

// provable returns the methods of the whole API whose answers can carry the proof of a state.
func provable() map[string]protoreflect.MethodDescriptor {
	state := (*proofv1.StateProof)(nil).ProtoReflect().Descriptor().FullName()
	methods := make(map[string]protoreflect.MethodDescriptor)
	each := func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				if proof := m.Output().Fields().ByName("proof"); proof != nil && proof.Message().FullName() == state {
					methods["/"+string(service.FullName())+"/"+string(m.Name())] = m
				}
			}
		}
		return true
	}
	protoregistry.GlobalFiles.RangeFiles(each)
	for _, file := range services {
		each(file)
	}
	return methods
}

// TestEveryProvableReadHasAQuestion compares the questions with the services that are served.
func TestEveryProvableReadHasAQuestion(t *testing.T) {
	t.Parallel()
	methods := provable()
	for method, m := range methods {
		q, ok := queries.Of(method)
		if !ok || q.Method != method {
			t.Errorf("%s has no question", method)
			continue
		}
		if got := q.NewRequest().ProtoReflect().Descriptor(); got != m.Input() {
			t.Errorf("%s is asked with %s, not with %s", method, m.Input().FullName(), got.FullName())
		}
		if got := q.NewAnswer().ProtoReflect().Descriptor(); got != m.Output() {
			t.Errorf("%s answers with %s, not with %s", method, m.Output().FullName(), got.FullName())
		}
		for i, name := range []protoreflect.Name{"height", "min_height", "prove"} {
			if field := m.Input().Fields().ByName(name); field == nil || field.Number() != protoreflect.FieldNumber(i+1) {
				t.Errorf("%s: %s is not field %d of the request", method, name, i+1)
			}
		}
		for i, name := range []protoreflect.Name{"height", "proof"} {
			if field := m.Output().Fields().ByName(name); field == nil || field.Number() != protoreflect.FieldNumber(i+1) {
				t.Errorf("%s: %s is not field %d of the answer", method, name, i+1)
			}
		}
		for _, path := range q.Unproven {
			if !has(m.Output(), path) {
				t.Errorf("%s has no field %s", method, path)
			}
		}
	}
	var seen []string
	for _, q := range queries.All() {
		if methods[q.Method] == nil {
			t.Errorf("nobody serves %s", q.Method)
		}
		if slices.Contains(seen, q.Method) {
			t.Errorf("%s has two questions", q.Method)
		}
		seen = append(seen, q.Method)
	}
	if len(seen) < 20 {
		t.Errorf("only %d questions", len(seen))
	}
	if _, ok := queries.Of("/althing.ledger.v1.LedgerService/GetStatus"); ok {
		t.Error("the status is asked of a state")
	}
}

func has(m protoreflect.MessageDescriptor, path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		if m == nil {
			return false
		}
		field := m.Fields().ByName(protoreflect.Name(name))
		if field == nil {
			return false
		}
		m = field.Message()
	}
	return true
}

// TestNothingComesAlong looks at all that the package brings into a client.
func TestNothingComesAlong(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		for _, heavy := range []string{
			"github.com/cosmos/iavl", "cosmossdk.io/", "github.com/cockroachdb/", "github.com/cometbft/", "github.com/althing-ledger/althing/consensus",
		} {
			if strings.HasPrefix(path, heavy) {
				t.Errorf("%s comes along", path)
			}
		}
		if path == "github.com/althing-ledger/althing/state" || path == "github.com/althing-ledger/althing/app" {
			t.Errorf("%s comes along", path)
		}
	}
}

// TestWrongMessages asks with messages of other methods.
func TestWrongMessages(t *testing.T) {
	t.Parallel()
	for _, q := range queries.All() {
		var other proto.Message = new(proofv1.Validator)
		if _, _, err := q.Ask(view{}, other); err == nil || !strings.Contains(err.Error(), q.Method) {
			t.Errorf("%s with another request: %v", q.Method, err)
		}
		if err := queries.Check(view{}, q.Method, q.NewRequest(), other); err == nil || !strings.Contains(err.Error(), "Validator") {
			t.Errorf("%s with another answer: %v", q.Method, err)
		}
	}
}
