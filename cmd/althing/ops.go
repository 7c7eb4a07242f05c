package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/althing-ledger/althing/proto/amount"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// maxOperationsFile bounds in bytes what `tx build` reads.
const maxOperationsFile = 16 << 20

// operationsFile is what `tx build --file` takes besides a bare array of operations.
type operationsFile struct {
	Operations []json.RawMessage `json:"operations"`
	Payer      string            `json:"payer"`
	Memo       string            `json:"memo"`
}

// parseOperations reads a file of operations: an array of them, or an object with operations, payer and memo. Each one is
// an althing.ledger.v1.Operation in the JSON form of protobuf, but for keys and ids of holds, which are as people write
// them. Unknown fields are refused. Amounts are left as they stand.
func parseOperations(data []byte) (*operationsFile, []*ledgerv1.Operation, error) {
	file := new(operationsFile)
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '[' {
		if err := decodeJSON(data, &file.Operations); err != nil {
			return nil, nil, err
		}
	} else if err := decodeJSON(data, file); err != nil {
		return nil, nil, err
	}
	if len(file.Operations) == 0 {
		return nil, nil, errors.New("there is no operation in it")
	}
	var ops []*ledgerv1.Operation
	for i, raw := range file.Operations {
		op, err := parseOperation(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("operation %d: %w", i, err)
		}
		ops = append(ops, op)
	}
	return file, ops, nil
}

// decodeJSON decodes one value without unknown fields and with nothing behind it.
func decodeJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}

func parseOperation(raw []byte) (*ledgerv1.Operation, error) {
	var tree any
	if err := decodeJSON(raw, &tree); err != nil {
		return nil, err
	}
	if err := translate(tree); err != nil {
		return nil, err
	}
	canonical, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	op := new(ledgerv1.Operation)
	if err := protojson.Unmarshal(canonical, op); err != nil {
		// The decoder's texts begin with a word that it changes from build to build.
		_, text, found := strings.Cut(err.Error(), ": ")
		if !found {
			text = err.Error()
		}
		return nil, errors.New(text)
	}
	if op.Kind == nil {
		return nil, errors.New("says nothing to do: name a kind, such as assetTransfer")
	}
	return op, nil
}

// translate replaces what people write by what the JSON form of protobuf wants: a key as `schnorr:HEX`, the id of a hold,
// a hash, the keys of a node and their proofs as hex digits.
func translate(tree any) error {
	switch node := tree.(type) {
	case map[string]any:
		for name, value := range node {
			text, isText := value.(string)
			var err error
			switch {
			case isText && isKeyField(name):
				node[name], err = keyJSON(text)
			case isText && isHexField(name):
				node[name], err = hexJSON(name, text)
			case name == "tokenKeys" || name == "token_keys":
				err = translateKeys(value)
			default:
				err = translate(value)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	case []any:
		for _, item := range node {
			if err := translate(item); err != nil {
				return err
			}
		}
	}
	return nil
}

// translateKeys does the same for a list of keys.
func translateKeys(value any) error {
	list, isList := value.([]any)
	if !isList {
		return nil
	}
	for i, item := range list {
		if text, isText := item.(string); isText {
			key, err := keyJSON(text)
			if err != nil {
				return err
			}
			list[i] = key
		}
	}
	return nil
}

func isKeyField(name string) bool {
	switch name {
	case "publicKey", "public_key", "oldKey", "old_key", "newKey", "new_key":
		return true
	default:
		return false
	}
}

func isHexField(name string) bool {
	switch name {
	case "holdId", "hold_id", "sha256", "nodeKey", "node_key", "validatorKey", "validator_key",
		"nodeKeyProof", "node_key_proof", "validatorKeyProof", "validator_key_proof":
		return true
	default:
		return false
	}
}

func keyJSON(text string) (any, error) {
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	return map[string]any{"scheme": key.Scheme.String(), "key": base64.StdEncoding.EncodeToString(key.Key)}, nil
}

// hexSize is how many bytes a field of hex digits has.
func hexSize(name string) int {
	if strings.HasSuffix(strings.ToLower(name), "proof") {
		return 64
	}
	return 32
}

func hexJSON(name, text string) (any, error) {
	value, err := hex.DecodeString(strings.TrimPrefix(text, "ed25519:"))
	if err != nil || len(value) != hexSize(name) {
		return nil, fmt.Errorf("%.80q has not %d hex digits", text, 2*hexSize(name))
	}
	return base64.StdEncoding.EncodeToString(value), nil
}

// toBaseUnits turns the amounts of operations, written with the decimals of their assets, into base units. An asset that
// an earlier operation creates need not be on the ledger yet.
func toBaseUnits(ctx context.Context, u *units, ops []*ledgerv1.Operation) error {
	for i, op := range ops {
		if err := operationToBaseUnits(ctx, u, op); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return nil
}

func operationToBaseUnits(ctx context.Context, u *units, op *ledgerv1.Operation) (err error) {
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_AssetCreate:
		o := k.AssetCreate
		if o.Decimals > amount.MaxDecimals {
			return usagef("decimals %d are more than %d", o.Decimals, amount.MaxDecimals)
		}
		u.learn(o.Asset, o.Decimals)
		if o.Cap != "" {
			o.Cap, err = u.parse(ctx, o.Asset, o.Cap)
		}
	case *ledgerv1.Operation_AssetMint:
		k.AssetMint.Amount, err = u.parse(ctx, k.AssetMint.Asset, k.AssetMint.Amount)
	case *ledgerv1.Operation_AssetBurn:
		k.AssetBurn.Amount, err = u.parse(ctx, k.AssetBurn.Asset, k.AssetBurn.Amount)
	case *ledgerv1.Operation_AssetTransfer:
		k.AssetTransfer.Amount, err = u.parse(ctx, k.AssetTransfer.Asset, k.AssetTransfer.Amount)
	case *ledgerv1.Operation_AssetOpenHold:
		k.AssetOpenHold.Amount, err = u.parse(ctx, k.AssetOpenHold.Asset, k.AssetOpenHold.Amount)
	}
	return err
}
