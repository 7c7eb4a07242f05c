package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// maxMessage bounds in bytes what a node may answer: a block of the largest size with its outcomes.
const maxMessage = 64 << 20

// node is a connection to one node.
type node struct {
	Node
	chainID     string
	genesisHash string
	conn        *grpc.ClientConn
	asReader    []grpc.CallOption // of calls that read, once the node is verified
	verified    atomic.Bool       // the node has said that it belongs to our network
	behind      atomic.Bool       // it was far behind the others when they were last compared
	distrust    distrust
}

func newNode(network *Network, n Node, b *bearer) (*node, error) {
	transport := insecure.NewCredentials()
	if n.TLSCertificate != "" {
		pinned, err := pin(n.TLSCertificate)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", n.Name, err)
		}
		transport = pinned
	}
	conn, err := grpc.NewClient(n.GRPC,
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{
			// A node that comes back should be found within seconds; one that is gone costs a packet every two.
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return &node{Node: n, chainID: network.ChainID, genesisHash: network.GenesisHash, conn: conn, asReader: asReader(b, n)}, nil
}

// pin returns credentials that accept exactly one certificate. Names, issuers and dates in it mean nothing: the network
// file says which key the node has, as the ledger's registry does for the mesh.
func pin(text string) (credentials.TransportCredentials, error) {
	certificate, err := parseCertificate(text)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection decides
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || !bytes.Equal(state.PeerCertificates[0].Raw, certificate.Raw) {
				return errors.New("the node presents another certificate than the network file pins")
			}
			return nil
		},
	}), nil
}

// label names the node in errors.
func (n *node) label() string {
	if n.Name == "" {
		return "node"
	}
	return n.Name
}

// check makes sure that there is a connection and that our network is at its other end. It asks the node for its status
// unless an established connection was checked before; a failure here means that the request itself was not sent.
func (n *node) check(ctx context.Context) error {
	if n.verified.Load() && n.conn.GetState() == connectivity.Ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	_, err := n.status(ctx)
	return err
}

// status asks this node and returns ErrWrongNetwork if it belongs to another network. Without the options of asReader it
// answers everybody.
func (n *node) status(ctx context.Context, opts ...grpc.CallOption) (*ledgerv1.GetStatusResponse, error) {
	s, err := ledgerv1.NewLedgerServiceClient(n.conn).GetStatus(ctx, &ledgerv1.GetStatusRequest{}, opts...)
	if err != nil {
		return nil, err
	}
	if genesis := hex.EncodeToString(s.GenesisHash); s.ChainId != n.chainID || genesis != n.genesisHash {
		n.verified.Store(false)
		return nil, fmt.Errorf("%w: %s at %s serves %.80q with genesis %.16s, the network file says %s with genesis %.16s",
			ErrWrongNetwork, n.label(), n.GRPC, s.ChainId, genesis, n.chainID, n.genesisHash)
	}
	n.verified.Store(true)
	return s, nil
}
