package testnet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// What the demonstration does.
const (
	demoDecimals = 2
	demoMinted   = "1000.00"
	demoPaid     = "12.50"
)

// DemoStep is one transaction of the demonstration and what became of it.
type DemoStep struct {
	// What it does, for people.
	What string `json:"what"`
	// Command is what one would type to do the same, without the name of the program.
	Command string `json:"command"`
	ID      string `json:"id"` // hex
	Status  string `json:"status"`
	Code    uint32 `json:"code"` // 0 for a transaction that was applied
	Height  uint64 `json:"height"`
	// Milliseconds from before the transaction was built until its outcome was known.
	Milliseconds int64 `json:"milliseconds"`
}

// DemoBalance is what one node answers about the receiver's balance.
type DemoBalance struct {
	Node    string `json:"node"`
	Account string `json:"account"`
	Asset   string `json:"asset"`
	Amount  string `json:"amount"` // with the asset's decimals
	Height  uint64 `json:"height"`
}

// Demonstration is what Demo did.
type Demonstration struct {
	Steps    []DemoStep    `json:"steps"`
	Balances []DemoBalance `json:"balances"`
}

// demoTransaction is a transaction of the demonstration before it is sent.
type demoTransaction struct {
	what, command string
	operation     *ledgerv1.Operation
	repeatable    bool // rejected as already there, when the network has seen it before
}

// Demo creates an asset, mints some of it and pays a part to another organisation, and asks every node for the balance that
// results. It may be repeated: an asset that is there already is used. An error means that a transaction was not
// committed; the demonstration then has the steps up to it.
func (n *Network) Demo(ctx context.Context) (d *Demonstration, err error) {
	c, err := client.Dial(n.File, client.Config{})
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	org := n.File.Nodes[0].Org
	asset, issuer, payer := org+"/usd", org+"/admin", org+"/treasury"
	receiver := issuer // where there is nobody else
	if len(n.File.Nodes) > 1 {
		receiver = n.File.Nodes[1].Org + "/treasury"
	}
	transactions, err := demoTransactions(asset, issuer, payer, receiver)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	d = &Demonstration{}
	for _, t := range transactions {
		step, err := n.demoStep(ctx, c, t)
		if err != nil {
			return d, fmt.Errorf("demo: %s: %w", t.what, err)
		}
		d.Steps = append(d.Steps, step)
	}
	for _, node := range n.File.Nodes {
		balance, err := n.demoBalance(ctx, node, asset, receiver, c.SeenHeight())
		if err != nil {
			return d, fmt.Errorf("demo: ask %s: %w", node.Name, err)
		}
		d.Balances = append(d.Balances, balance)
	}
	return d, nil
}

func demoTransactions(asset, issuer, payer, receiver string) ([]demoTransaction, error) {
	minted, err := amount.ParseDecimal(demoMinted, demoDecimals)
	if err != nil {
		return nil, err
	}
	paid, err := amount.ParseDecimal(demoPaid, demoDecimals)
	if err != nil {
		return nil, err
	}
	return []demoTransaction{
		{
			what:    fmt.Sprintf("%s creates %s", issuer, asset),
			command: fmt.Sprintf("asset create %s --decimals %d --as %s", asset, demoDecimals, issuer),
			operation: &ledgerv1.Operation{Account: issuer, Kind: &ledgerv1.Operation_AssetCreate{
				AssetCreate: &assetsv1.Create{Asset: asset, Decimals: demoDecimals},
			}},
			repeatable: true,
		},
		{
			what:    fmt.Sprintf("%s mints %s to %s", issuer, demoMinted, payer),
			command: fmt.Sprintf("asset mint %s %s --to %s --as %s", asset, demoMinted, payer, issuer),
			operation: &ledgerv1.Operation{Account: issuer, Kind: &ledgerv1.Operation_AssetMint{
				AssetMint: &assetsv1.Mint{Asset: asset, To: payer, Amount: minted.String()},
			}},
		},
		{
			what:    fmt.Sprintf("%s pays %s to %s", payer, demoPaid, receiver),
			command: fmt.Sprintf("asset transfer %s %s --to %s --as %s", asset, demoPaid, receiver, payer),
			operation: &ledgerv1.Operation{Account: payer, Kind: &ledgerv1.Operation_AssetTransfer{
				AssetTransfer: &assetsv1.Transfer{Asset: asset, To: receiver, Amount: paid.String()},
			}},
		},
	}, nil
}

// demoStep sends a transaction and waits for its outcome.
func (n *Network) demoStep(ctx context.Context, c *client.Client, t demoTransaction) (DemoStep, error) {
	account := t.operation.Account
	keys, err := n.File.Keys(account)
	if err != nil {
		return DemoStep{}, err
	}
	began := time.Now()
	draft := client.Draft{Operations: []*ledgerv1.Operation{t.operation}}
	result, err := c.Send(ctx, draft, client.Signer{Account: account, Keys: keys})
	if err != nil {
		return DemoStep{}, err
	}
	if again := t.repeatable && result.Outcome.GetCode() == ledgerv1.Code_CODE_ALREADY_EXISTS; !result.OK() && !again {
		return DemoStep{}, fmt.Errorf("transaction %s ended with %s: %s",
			result.ID, tx.Reason(result.Outcome.GetCode()), result.Outcome.GetMessage())
	}
	return DemoStep{
		What:         t.what,
		Command:      t.command,
		ID:           result.ID.String(),
		Status:       strings.ToLower(strings.TrimPrefix(result.Status.String(), "TX_STATUS_")),
		Code:         uint32(result.Outcome.GetCode()),
		Height:       result.Height,
		Milliseconds: time.Since(began).Milliseconds(),
	}, nil
}

// demoBalance asks one node, as soon as it has the block of the last transaction.
func (n *Network) demoBalance(ctx context.Context, node client.Node, asset, account string, height uint64) (b DemoBalance, err error) {
	c, err := client.Dial(n.File, client.Config{Node: node.Name})
	if err != nil {
		return DemoBalance{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	resp, err := c.Assets().GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: asset, Account: account, MinHeight: height})
	if err != nil {
		return DemoBalance{}, err
	}
	balance, err := amount.Parse(resp.GetHolding().GetBalance())
	if err != nil {
		return DemoBalance{}, err
	}
	return DemoBalance{
		Node: node.Name, Account: account, Asset: asset, Amount: balance.Format(resp.Decimals), Height: resp.Height,
	}, nil
}
