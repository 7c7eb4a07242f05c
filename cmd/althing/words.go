package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/althing-ledger/althing/client"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// describeTransaction says what somebody is about to sign, and who has signed.
func describeTransaction(ctx context.Context, out io.Writer, u *units, t *client.Transaction, now time.Time) {
	left := "expired"
	if d := t.ExpiresAt().Sub(now); d > 0 {
		left = "in " + d.Round(time.Second).String()
	}
	fmt.Fprintf(out, "network %s, expires at %s (%s)\n", t.ChainID(), t.ExpiresAt().Format(time.RFC3339), left)
	if t.Body().Payer != "" {
		fmt.Fprintf(out, "%s is charged\n", t.Payer())
	}
	if memo := t.Body().Memo; memo != "" {
		fmt.Fprintf(out, "memo %q\n", memo)
	}
	fmt.Fprintln(out, "all of this, or nothing:")
	for i, op := range t.Body().Operations {
		// What this transaction creates is not on the ledger yet.
		if c := op.GetAssetCreate(); c != nil {
			u.learn(c.Asset, c.Decimals)
		}
		fmt.Fprintf(out, "  %d. %s\n", i+1, operationWords(ctx, u, op))
	}
	all := standingsOf(ctx, u, t)
	for _, s := range t.Signatures() {
		verdict := "good"
		if err := checkSignature(t, all, s); err != nil {
			verdict = err.Error()
		}
		fmt.Fprintf(out, "signed for %s by %s key %s: %s\n", s.Account, schemeOf(s), shortKey(s), verdict)
	}
	for _, st := range all {
		if text := st.words(); text != "" {
			fmt.Fprintln(out, text)
		}
	}
}

// operationWords says in a sentence what an operation does.
func operationWords(ctx context.Context, u *units, op *ledgerv1.Operation) string {
	who := op.Account
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_AccountCreate:
		o := k.AccountCreate
		return fmt.Sprintf("%s creates account %s with %s and roles %s", who, o.Name, keyList(o.Keys, o.Threshold), listWords(o.Roles))
	case *ledgerv1.Operation_AccountSetRoles:
		return fmt.Sprintf("%s sets the roles of %s to %s", who, k.AccountSetRoles.Name, listWords(k.AccountSetRoles.Roles))
	case *ledgerv1.Operation_AccountAddKey:
		o := k.AccountAddKey
		return fmt.Sprintf("%s adds key %s of weight %d to %s%s", who, keyText(o.Key.GetPublicKey()), o.Key.GetWeight(), o.Name, thresholdWords(o.Threshold))
	case *ledgerv1.Operation_AccountRevokeKey:
		o := k.AccountRevokeKey
		return fmt.Sprintf("%s revokes key %s of %s%s", who, keyText(o.PublicKey), o.Name, thresholdWords(o.Threshold))
	case *ledgerv1.Operation_AccountRotateKey:
		o := k.AccountRotateKey
		return fmt.Sprintf("%s replaces key %s of %s by %s", who, keyText(o.OldKey), o.Name, keyText(o.NewKey))
	case *ledgerv1.Operation_AssetCreate:
		o := k.AssetCreate
		return fmt.Sprintf("%s creates asset %s with %s%s", who, o.Asset, plural(o.Decimals, "decimal"), capWords(o.Cap, o.Decimals))
	case *ledgerv1.Operation_AssetMint:
		o := k.AssetMint
		return fmt.Sprintf("%s mints %s for %s", who, u.words(ctx, o.Asset, o.Amount), o.To)
	case *ledgerv1.Operation_AssetBurn:
		return fmt.Sprintf("%s burns %s", who, u.words(ctx, k.AssetBurn.Asset, k.AssetBurn.Amount))
	case *ledgerv1.Operation_AssetTransfer:
		o := k.AssetTransfer
		return fmt.Sprintf("%s transfers %s to %s", who, u.words(ctx, o.Asset, o.Amount), o.To)
	case *ledgerv1.Operation_AssetSetFrozen:
		o := k.AssetSetFrozen
		return fmt.Sprintf("%s %s what %s has of %s", who, freezeWord(o.Frozen), o.Account, o.Asset)
	case *ledgerv1.Operation_AssetOpenHold:
		o := k.AssetOpenHold
		return fmt.Sprintf("%s sets %s aside for %s until %s%s", who, u.words(ctx, o.Asset, o.Amount), o.To,
			o.Deadline.AsTime().Format(time.RFC3339), arbiterWords(o.Arbiter))
	case *ledgerv1.Operation_AssetReleaseHold:
		return fmt.Sprintf("%s releases hold %x", who, k.AssetReleaseHold.HoldId)
	case *ledgerv1.Operation_AssetCancelHold:
		return fmt.Sprintf("%s cancels hold %x", who, k.AssetCancelHold.HoldId)
	case *ledgerv1.Operation_RecordSetCollection:
		o := k.RecordSetCollection
		return fmt.Sprintf("%s lets %s write %s%s", who, grantWords(o.Writers), o.Collection, cosignWords(o.Cosign))
	case *ledgerv1.Operation_RecordPut:
		return fmt.Sprintf("%s writes %s", who, putWords(k.RecordPut))
	default:
		if text, known := membershipWords(op); known {
			return text
		}
		return fmt.Sprintf("%s does something that this version does not know", who)
	}
}

func putWords(o *recordsv1.Put) string {
	content := fmt.Sprintf("%s of %s", plural(len(o.GetData()), "byte"), o.ContentType)
	if h := o.GetHash(); h != nil {
		content = fmt.Sprintf("the hash %x of %s of %s", h.Sha256, plural(h.Size, "byte"), o.ContentType)
	}
	text := content + " to " + o.Record
	if o.ExpectVersion != nil {
		text += fmt.Sprintf(", if its version is %d", *o.ExpectVersion)
	}
	if o.Cosigner != "" {
		text += ", together with " + o.Cosigner
	}
	return text
}

// eventWords says in a sentence what happened.
func eventWords(ctx context.Context, u *units, e *ledgerv1.Event) string {
	switch k := e.Kind.(type) {
	case *ledgerv1.Event_AccountCreated:
		a := k.AccountCreated.GetAccount()
		return fmt.Sprintf("account %s is created with %s and roles %s", a.GetName(), keyList(a.GetKeys(), a.GetThreshold()), listWords(a.GetRoles()))
	case *ledgerv1.Event_AccountRolesSet:
		return fmt.Sprintf("the roles of %s are %s", k.AccountRolesSet.Name, listWords(k.AccountRolesSet.Roles))
	case *ledgerv1.Event_AccountKeysChanged:
		o := k.AccountKeysChanged
		return fmt.Sprintf("%s has %s", o.Name, keyList(o.Keys, o.Threshold))
	case *ledgerv1.Event_AssetCreated:
		a := k.AssetCreated.GetAsset()
		return fmt.Sprintf("asset %s is created with %s%s", a.GetName(), plural(a.GetDecimals(), "decimal"), capWords(a.GetCap(), a.GetDecimals()))
	case *ledgerv1.Event_AssetMinted:
		o := k.AssetMinted
		return fmt.Sprintf("%s gets %s, newly made", o.To, u.words(ctx, o.Asset, o.Amount))
	case *ledgerv1.Event_AssetBurned:
		o := k.AssetBurned
		return fmt.Sprintf("%s burnt %s", o.From, u.words(ctx, o.Asset, o.Amount))
	case *ledgerv1.Event_AssetTransferred:
		o := k.AssetTransferred
		return fmt.Sprintf("%s went from %s to %s", u.words(ctx, o.Asset, o.Amount), o.From, o.To)
	case *ledgerv1.Event_AssetFrozenSet:
		o := k.AssetFrozenSet
		return fmt.Sprintf("what %s has of %s is %s", o.Account, o.Asset, frozenWord(o.Frozen))
	case *ledgerv1.Event_AssetHoldOpened:
		return holdWords(ctx, u, k.AssetHoldOpened.GetHold()) + " is open"
	case *ledgerv1.Event_AssetHoldReleased:
		return holdWords(ctx, u, k.AssetHoldReleased.GetHold()) + " is paid out"
	case *ledgerv1.Event_AssetHoldCancelled:
		return holdWords(ctx, u, k.AssetHoldCancelled.GetHold()) + " is cancelled"
	case *ledgerv1.Event_RecordCollectionSet:
		c := k.RecordCollectionSet.GetCollection()
		return fmt.Sprintf("%s write %s%s", grantWords(c.GetWriters()), c.GetName(), cosignWords(c.GetCosign()))
	case *ledgerv1.Event_RecordWritten:
		o := k.RecordWritten
		return fmt.Sprintf("%s has version %d: %s of %s", o.Record, o.Version, plural(o.Size, "byte"), o.ContentType)
	default:
		if text, known := membershipEventWords(e); known {
			return text
		}
		return "something that this version does not know"
	}
}

func holdWords(ctx context.Context, u *units, h *assetsv1.Hold) string {
	return fmt.Sprintf("hold %x of %s from %s for %s", h.GetId(), u.words(ctx, h.GetAsset(), h.GetAmount()), h.GetFrom(), h.GetTo())
}

func schemeOf(s *ledgerv1.Signature) string {
	return strings.ToLower(strings.TrimPrefix(s.Scheme.String(), "SIGNATURE_SCHEME_"))
}

func shortKey(s *ledgerv1.Signature) string {
	return fmt.Sprintf("%.8x…", s.PublicKey)
}

func keyList(list []*accountsv1.WeightedKey, threshold uint32) string {
	var all []string
	for _, k := range list {
		all = append(all, fmt.Sprintf("%s (weight %d)", keyText(k.GetPublicKey()), k.GetWeight()))
	}
	return fmt.Sprintf("keys %s, threshold %d", listWords(all), threshold)
}

// plural returns a number of things: `1 byte`, `2 bytes`.
func plural[N int | uint32 | uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func listWords(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func grantWords(writers []*recordsv1.Grant) string {
	var all []string
	for _, g := range writers {
		all = append(all, fmt.Sprintf("%s's %s", g.GetOrg(), g.GetRole()))
	}
	return listWords(all)
}

func thresholdWords(threshold uint32) string {
	if threshold == 0 {
		return ""
	}
	return fmt.Sprintf(", threshold %d from now on", threshold)
}

func capWords(most string, decimals uint32) string {
	if most == "" {
		return ""
	}
	return ", at most " + formatUnits(most, decimals)
}

func arbiterWords(arbiter string) string {
	if arbiter == "" {
		return ""
	}
	return ", arbiter " + arbiter
}

func cosignWords(cosign bool) string {
	if cosign {
		return ", two of different organisations together"
	}
	return ""
}

func freezeWord(frozen bool) string {
	if frozen {
		return "freezes"
	}
	return "unfreezes"
}

func frozenWord(frozen bool) string {
	if frozen {
		return "frozen"
	}
	return "free"
}
