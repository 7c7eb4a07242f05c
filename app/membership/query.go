package membership

import (
	"github.com/althing-ledger/althing/app/exec"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// GetNode answers one node: BAD_NAME, NOT_FOUND.
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

// ListNodes answers nodes in the order of their names: BAD_FIELD.
func ListNodes(view exec.View, q *membershipv1.ListNodesRequest) (*membershipv1.ListNodesResponse, error) {
	answer := &membershipv1.ListNodesResponse{Height: view.Height()}
	var err error
	answer.NextPage, err = exec.List(view, nodeRange(), q.Page, q.PageSize, func(_, value []byte) error {
		node := new(membershipv1.Node)
		answer.Nodes = append(answer.Nodes, node)
		return exec.Decode(value, node)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}
