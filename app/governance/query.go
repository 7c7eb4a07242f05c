package governance

import (
	"github.com/althing-ledger/althing/app/exec"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
)

// GetCharter answers the charter and the feature level.
func GetCharter(view exec.View, _ *governancev1.GetCharterRequest) (*governancev1.GetCharterResponse, error) {
	r := Read(view)
	charter, err := r.Charter()
	if err != nil {
		return nil, err
	}
	level, err := r.FeatureLevel()
	if err != nil {
		return nil, err
	}
	return &governancev1.GetCharterResponse{Height: view.Height(), Charter: charter, FeatureLevel: level}, nil
}
