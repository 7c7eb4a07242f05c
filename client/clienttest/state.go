package clienttest

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"

	"github.com/althing-ledger/althing/proto/amount"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// state is everything the ledger knows at a height. Values in the maps are replaced, never changed.
type state struct {
	accounts    map[string]*accountsv1.Account
	assets      map[string]*assetsv1.Asset
	holdings    map[[2]string]holding // asset, account
	holds       map[string]*assetsv1.Hold
	collections map[string]*recordsv1.Collection
	records     map[string][]*recordsv1.Record // all versions, oldest first
	proposals   []*proposalsv1.Proposal        // by id, from 1
	charter     *governancev1.Charter

	height uint64
	now    time.Time
	id     tx.ID // of the transaction being applied
}

type holding struct {
	balance, held amount.Amount
	frozen        bool
}

func newState() *state {
	return &state{
		accounts:    map[string]*accountsv1.Account{},
		assets:      map[string]*assetsv1.Asset{},
		holdings:    map[[2]string]holding{},
		holds:       map[string]*assetsv1.Hold{},
		collections: map[string]*recordsv1.Collection{},
		records:     map[string][]*recordsv1.Record{},
		charter: &governancev1.Charter{
			MaxBlockBytes: 4 << 20, MaxTxBytes: limits.Bytes, MaxOperations: limits.Operations, MaxSignatures: limits.Signatures,
			MaxExpirySeconds: 86400, LongExpirySeconds: 600, LongExpiriesPerOrg: 10000, StaleBlockSeconds: 30, BlockIntervalMs: 200,
			VotingPeriodSeconds: 7 * 86400, MaxTokenSeconds: 900, ReadAccess: governancev1.ReadAccess_READ_ACCESS_OPEN,
		},
	}
}

func (s *state) clone() *state {
	c := *s
	c.accounts, c.assets, c.holdings = maps.Clone(s.accounts), maps.Clone(s.assets), maps.Clone(s.holdings)
	c.holds, c.collections, c.records = maps.Clone(s.holds), maps.Clone(s.collections), maps.Clone(s.records)
	c.proposals = slices.Clone(s.proposals)
	return &c
}

func wireKey(k keys.PublicKey) *keysv1.PublicKey {
	return &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(k.Scheme()), Key: k.Bytes()}
}

func sameKey(a, b *keysv1.PublicKey) bool {
	return a.GetScheme() == b.GetScheme() && slices.Equal(a.GetKey(), b.GetKey())
}

// authorise checks that the signatures are right and reach every signer's threshold.
func (s *state) authorise(t *tx.Tx) error {
	weights := map[string]uint32{}
	for _, name := range t.Signers {
		if s.accounts[name] == nil {
			return tx.Reject(ledgerv1.Code_CODE_UNKNOWN_ACCOUNT, "there is no account %s: create it first", name)
		}
	}
	for _, signature := range t.Signatures {
		wire := &keysv1.PublicKey{Scheme: signature.Scheme, Key: signature.PublicKey}
		account := s.accounts[signature.Account]
		i := slices.IndexFunc(account.Keys, func(k *accountsv1.WeightedKey) bool { return sameKey(k.PublicKey, wire) })
		if i < 0 {
			return tx.Reject(ledgerv1.Code_CODE_KEY_NOT_LISTED, "%s does not list the key that signs for it", account.Name)
		}
		public, err := keys.ParsePublicKey(keys.Scheme(signature.Scheme), signature.PublicKey)
		if err != nil || public.Verify(t.ID, signature.Signature) != nil {
			return tx.Reject(ledgerv1.Code_CODE_WRONG_SIGNATURE, "a signature of %s is wrong", account.Name)
		}
		weights[account.Name] += account.Keys[i].Weight
	}
	for _, name := range t.Signers {
		if weights[name] < s.accounts[name].Threshold {
			return tx.Reject(ledgerv1.Code_CODE_MISSING_SIGNATURE, "%s has signed with weight %d of %d", name, weights[name], s.accounts[name].Threshold)
		}
	}
	return nil
}

func missing(what, name string) error {
	return tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no %s %s", what, name)
}

func exists(what, name string) error {
	return tx.Reject(ledgerv1.Code_CODE_ALREADY_EXISTS, "%s %s exists", what, name)
}

// apply does one operation.
func (s *state) apply(index int, op *ledgerv1.Operation) (*ledgerv1.Event, error) {
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_AccountCreate:
		return s.createAccount(k.AccountCreate)
	case *ledgerv1.Operation_AccountSetRoles:
		return s.setRoles(k.AccountSetRoles)
	case *ledgerv1.Operation_AccountAddKey:
		o := k.AccountAddKey
		return s.changeKeys(o.Name, o.Threshold, func(list []*accountsv1.WeightedKey) []*accountsv1.WeightedKey { return append(list, o.Key) })
	case *ledgerv1.Operation_AccountRevokeKey:
		o := k.AccountRevokeKey
		return s.changeKeys(o.Name, o.Threshold, replace(o.PublicKey, nil))
	case *ledgerv1.Operation_AccountRotateKey:
		o := k.AccountRotateKey
		return s.changeKeys(o.Name, 0, replace(o.OldKey, o.NewKey))
	case *ledgerv1.Operation_AccountSetTokenKeys:
		return s.setTokenKeys(k.AccountSetTokenKeys)
	case *ledgerv1.Operation_ProposalCreate:
		return s.propose(op.Account, k.ProposalCreate)
	case *ledgerv1.Operation_ProposalVote:
		return s.vote(op.Account, k.ProposalVote)
	case *ledgerv1.Operation_ProposalWithdraw:
		return s.withdraw(op.Account, k.ProposalWithdraw)
	case *ledgerv1.Operation_CharterSet:
		return s.setCharter(op.Account, k.CharterSet)
	case *ledgerv1.Operation_AssetCreate:
		return s.createAsset(k.AssetCreate)
	case *ledgerv1.Operation_AssetMint:
		o := k.AssetMint
		event := &assetsv1.Minted{Asset: o.Asset, To: o.To, Amount: o.Amount}
		return &ledgerv1.Event{Kind: &ledgerv1.Event_AssetMinted{AssetMinted: event}}, s.add(o.Asset, o.To, o.Amount)
	case *ledgerv1.Operation_AssetBurn:
		o := k.AssetBurn
		event := &assetsv1.Burned{Asset: o.Asset, From: op.Account, Amount: o.Amount}
		return &ledgerv1.Event{Kind: &ledgerv1.Event_AssetBurned{AssetBurned: event}}, s.take(o.Asset, op.Account, o.Amount)
	case *ledgerv1.Operation_AssetTransfer:
		o := k.AssetTransfer
		if err := s.take(o.Asset, op.Account, o.Amount); err != nil {
			return nil, err
		}
		event := &assetsv1.Transferred{Asset: o.Asset, From: op.Account, To: o.To, Amount: o.Amount}
		return &ledgerv1.Event{Kind: &ledgerv1.Event_AssetTransferred{AssetTransferred: event}}, s.add(o.Asset, o.To, o.Amount)
	case *ledgerv1.Operation_AssetSetFrozen:
		return s.setFrozen(k.AssetSetFrozen)
	case *ledgerv1.Operation_AssetOpenHold:
		return s.openHold(index, op.Account, k.AssetOpenHold)
	case *ledgerv1.Operation_AssetReleaseHold:
		hold, err := s.closeHold(k.AssetReleaseHold.HoldId, func(h *assetsv1.Hold) string { return h.To })
		return &ledgerv1.Event{Kind: &ledgerv1.Event_AssetHoldReleased{AssetHoldReleased: &assetsv1.HoldReleased{Hold: hold}}}, err
	case *ledgerv1.Operation_AssetCancelHold:
		hold, err := s.closeHold(k.AssetCancelHold.HoldId, func(h *assetsv1.Hold) string { return h.From })
		return &ledgerv1.Event{Kind: &ledgerv1.Event_AssetHoldCancelled{AssetHoldCancelled: &assetsv1.HoldCancelled{Hold: hold}}}, err
	case *ledgerv1.Operation_RecordSetCollection:
		return s.setCollection(k.RecordSetCollection)
	case *ledgerv1.Operation_RecordPut:
		return s.put(op.Account, k.RecordPut)
	default:
		return nil, tx.Reject(ledgerv1.Code_CODE_UNKNOWN_OPERATION, "operation %d is unknown", index)
	}
}

func (s *state) createAccount(o *accountsv1.Create) (*ledgerv1.Event, error) {
	if s.accounts[o.Name] != nil {
		return nil, exists("account", o.Name)
	}
	account := &accountsv1.Account{Name: o.Name, Keys: o.Keys, Threshold: o.Threshold, Roles: o.Roles, CreatedHeight: s.height}
	s.accounts[o.Name] = account
	return &ledgerv1.Event{Kind: &ledgerv1.Event_AccountCreated{AccountCreated: &accountsv1.Created{Account: account}}}, nil
}

func (s *state) setRoles(o *accountsv1.SetRoles) (*ledgerv1.Event, error) {
	old := s.accounts[o.Name]
	if old == nil {
		return nil, missing("account", o.Name)
	}
	account := proto.CloneOf(old)
	account.Roles = o.Roles
	s.accounts[o.Name] = account
	event := &accountsv1.RolesSet{Name: o.Name, Roles: o.Roles}
	return &ledgerv1.Event{Kind: &ledgerv1.Event_AccountRolesSet{AccountRolesSet: event}}, nil
}

func (s *state) changeKeys(name string, threshold uint32, change func([]*accountsv1.WeightedKey) []*accountsv1.WeightedKey) (*ledgerv1.Event, error) {
	old := s.accounts[name]
	if old == nil {
		return nil, missing("account", name)
	}
	if threshold == 0 {
		threshold = old.Threshold
	}
	list := change(slices.Clone(old.Keys))
	if list == nil {
		return nil, missing("such key of", name)
	}
	account := proto.CloneOf(old)
	account.Keys, account.Threshold = list, threshold
	s.accounts[name] = account
	event := &accountsv1.KeysChanged{Name: name, Keys: list, Threshold: threshold}
	return &ledgerv1.Event{Kind: &ledgerv1.Event_AccountKeysChanged{AccountKeysChanged: event}}, nil
}

// replace returns a change that puts another key, or none, in the place of one. It yields nil where that is not listed.
func replace(old, by *keysv1.PublicKey) func([]*accountsv1.WeightedKey) []*accountsv1.WeightedKey {
	return func(list []*accountsv1.WeightedKey) []*accountsv1.WeightedKey {
		i := slices.IndexFunc(list, func(k *accountsv1.WeightedKey) bool { return sameKey(k.PublicKey, old) })
		switch {
		case i < 0:
			return nil
		case by == nil:
			return slices.Delete(list, i, i+1)
		default:
			list[i] = &accountsv1.WeightedKey{PublicKey: by, Weight: list[i].Weight}
			return list
		}
	}
}

func (s *state) setCollection(o *recordsv1.SetCollection) (*ledgerv1.Event, error) {
	c := &recordsv1.Collection{Name: o.Collection, Writers: o.Writers, Cosign: o.Cosign}
	s.collections[o.Collection] = c
	return &ledgerv1.Event{Kind: &ledgerv1.Event_RecordCollectionSet{RecordCollectionSet: &recordsv1.CollectionSet{Collection: c}}}, nil
}

func (s *state) put(writer string, o *recordsv1.Put) (*ledgerv1.Event, error) {
	collection, _, err := names.Record(o.Record)
	if err != nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	if c := s.collections[collection]; c != nil && c.Cosign && o.Cosigner == "" {
		return nil, tx.Reject(ledgerv1.Code_CODE_COSIGNER_REQUIRED, "%s demands a cosigner", collection)
	}
	versions := s.records[o.Record]
	if o.ExpectVersion != nil && *o.ExpectVersion != uint64(len(versions)) {
		return nil, tx.Reject(ledgerv1.Code_CODE_VERSION_MISMATCH, "the newest version is %d, %d was expected", len(versions), *o.ExpectVersion)
	}
	r := &recordsv1.Record{
		Name: o.Record, Version: uint64(len(versions) + 1), ContentType: o.ContentType, Writer: writer, Cosigner: o.Cosigner,
		Height: s.height, TimeUnixNano: s.now.UnixNano(), TxId: s.id[:],
	}
	event := &recordsv1.Written{Record: r.Name, Version: r.Version, ContentType: r.ContentType, Writer: writer, Cosigner: o.Cosigner}
	switch content := o.Content.(type) {
	case *recordsv1.Put_Data:
		sum := sha256.Sum256(content.Data)
		r.Content = &recordsv1.Record_Data{Data: content.Data}
		event.Sha256, event.Size = sum[:], uint64(len(content.Data))
	case *recordsv1.Put_Hash:
		r.Content = &recordsv1.Record_Hash{Hash: content.Hash}
		event.Sha256, event.Size = content.Hash.Sha256, content.Hash.Size
	}
	s.records[o.Record] = append(slices.Clone(versions), r)
	return &ledgerv1.Event{Kind: &ledgerv1.Event_RecordWritten{RecordWritten: event}}, nil
}

// holdID is the name of the hold that an operation of the current transaction opens.
func (s *state) holdID(index int) []byte {
	id := keys.TaggedHash("althing/hold/v1", s.id[:], binary.BigEndian.AppendUint32(nil, uint32(index)))
	return id[:]
}
