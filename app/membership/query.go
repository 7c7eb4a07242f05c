package membership

import (
	"slices"
	"strings"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// GetNode answers one node, removed or not: BAD_NAME, NOT_FOUND.
func GetNode(view exec.View, q *membershipv1.GetNodeRequest) (*membershipv1.GetNodeResponse, error) {
	if err := names.Node(q.Name); err != nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	node, err := Read(view).Node(q.Name)
	if err != nil {
		return nil, err
	}
	if node == nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no node %s at height %d", q.Name, view.Height())
	}
	return &membershipv1.GetNodeResponse{Height: view.Height(), Node: node}, nil
}

// Bounds of what one page of a listing reads.
const (
	maxLooked = 1000    // entries of nodes
	maxRead   = 8 << 20 // bytes of changes or evidence
)

// ListNodes answers nodes in the order of their names, without the removed ones unless they are asked for: BAD_FIELD. A page
// may hold fewer nodes than were asked for and have a next page all the same.
func ListNodes(view exec.View, q *membershipv1.ListNodesRequest) (*membershipv1.ListNodesResponse, error) {
	answer := &membershipv1.ListNodesResponse{Height: view.Height()}
	looked := 0
	var err error
	answer.NextPage, err = exec.ListSome(view, nodeRange(), q.Page, q.PageSize, func(_, value []byte) (exec.Step, error) {
		node := new(membershipv1.Node)
		if err := exec.Decode(value, node); err != nil {
			return exec.Skip, err
		}
		looked++
		if node.RemovedHeight != 0 && !q.Removed {
			if looked >= maxLooked {
				return exec.SkipLast, nil
			}
			return exec.Skip, nil
		}
		answer.Nodes = append(answer.Nodes, node)
		if looked >= maxLooked {
			return exec.TakeLast, nil
		}
		return exec.Take, nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ListValidators answers who votes on the block after the view's, in the order of the nodes' names. What they have signed
// is not part of the state and left out.
func ListValidators(view exec.View, _ *membershipv1.ListValidatorsRequest) (*membershipv1.ListValidatorsResponse, error) {
	height := view.Height()
	r := Read(view)
	seats, err := r.requireSeats()
	if err != nil {
		return nil, err
	}
	next := make(map[string]uint64)
	for _, seat := range SeatsAt(seats, height+2) {
		next[seat.Node] = seat.Power
	}
	answer := &membershipv1.ListValidatorsResponse{Height: height}
	for _, seat := range SeatsAt(seats, height+1) {
		node, err := r.requireNode(seat.Node)
		if err != nil {
			return nil, err
		}
		answer.Validators = append(answer.Validators, &membershipv1.Validator{
			Name: node.Name, Org: node.Org, PublicKey: seat.ValidatorKey,
			Power: seat.Power, NextPower: next[seat.Node], FromHeight: seat.FromHeight,
		})
	}
	slices.SortFunc(answer.Validators, func(a, b *membershipv1.Validator) int { return strings.Compare(a.Name, b.Name) })
	return answer, nil
}

// ListChanges answers the history of a node or an org, oldest first: BAD_FIELD, BAD_NAME, NOT_FOUND. What the network began
// with has none. Pages end early after some megabytes.
func ListChanges(view exec.View, q *membershipv1.ListChangesRequest) (*membershipv1.ListChangesResponse, error) {
	prefix, err := historyOf(view, q)
	if err != nil {
		return nil, err
	}
	answer := &membershipv1.ListChangesResponse{Height: view.Height()}
	read := 0
	answer.NextPage, err = exec.ListSome(view, prefix, q.Page, q.PageSize, func(_, value []byte) (exec.Step, error) {
		change := new(membershipv1.Change)
		answer.Changes = append(answer.Changes, change)
		read += len(value)
		return stepAfter(read), exec.Decode(value, change)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func historyOf(view exec.View, q *membershipv1.ListChangesRequest) ([]byte, error) {
	switch {
	case (q.Node == "") == (q.Org == ""):
		return nil, badField("give node or org: the one whose history is asked for")
	case q.Node != "":
		if _, err := GetNode(view, &membershipv1.GetNodeRequest{Name: q.Node}); err != nil {
			return nil, err
		}
		return changeRange(ofNode, q.Node), nil
	default:
		if _, err := accounts.GetOrg(view, &accountsv1.GetOrgRequest{Name: q.Org}); err != nil {
			return nil, err
		}
		return changeRange(ofOrg, q.Org), nil
	}
}

// ListEvidence answers the recorded misdeeds, oldest first: BAD_FIELD. Pages end early after some megabytes.
func ListEvidence(view exec.View, q *membershipv1.ListEvidenceRequest) (*membershipv1.ListEvidenceResponse, error) {
	answer := &membershipv1.ListEvidenceResponse{Height: view.Height()}
	read := 0
	var err error
	answer.NextPage, err = exec.ListSome(view, evidenceRange(), q.Page, q.PageSize, func(_, value []byte) (exec.Step, error) {
		evidence := new(membershipv1.Evidence)
		answer.Evidence = append(answer.Evidence, evidence)
		read += len(value)
		return stepAfter(read), exec.Decode(value, evidence)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func stepAfter(read int) exec.Step {
	if read >= maxRead {
		return exec.TakeLast
	}
	return exec.Take
}
