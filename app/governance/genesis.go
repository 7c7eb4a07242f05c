package governance

import (
	"errors"
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
)

// Genesis writes the charter and the feature level that a network starts with. Zeros of the charter, which may be nil,
// become the defaults. The error joins all problems; nothing is written then.
func Genesis(kv exec.KV, charter *governancev1.Charter, level uint64) error {
	full := WithDefaults(charter)
	var problems []error
	if err := Validate(full); err != nil {
		problems = append(problems, fmt.Errorf("charter: %w", err))
	}
	if level == 0 {
		problems = append(problems, errors.New("feature_level is 0: it is at least 1"))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	s := Open(kv)
	s.setFeatureLevel(level)
	return s.setCharter(full)
}
