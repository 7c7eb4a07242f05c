package mempool

import (
	"bytes"
	"errors"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const (
	// chunkMin is the number of transactions below which a batch is not split over goroutines: batches of 64 Schnorr signatures
	// cost two fifths more per signature than the largest ones, smaller ones up to three times as much.
	chunkMin = 64
	// chunkMax bounds a batch in transactions, maxBatch in signatures, where nothing is gained any more and memory grows.
	chunkMax = 1024
	maxBatch = 2048
)

// signer says whose signature stands at a place in a batch.
type signer struct {
	job       int
	signature *ledgerv1.Signature
}

// judge reaches the verdicts on jobs with one batch of signatures, or a few if there are very many. It returns the number
// of signatures. What is cheap to find out comes first.
func (v *Verifier) judge(jobs []job) (signatures int) {
	batch := v.batches.Get().(*keys.Batch)
	defer v.batches.Put(batch)
	batch.Reset()
	signers := make([]signer, 0, len(jobs))
	flush := func() {
		for i, err := range batch.Verify() {
			s := signers[i]
			if err == nil && keys.Scheme(s.signature.Scheme) == keys.SchemeECDSA {
				v.keys.valid(s.signature.PublicKey)
			}
			if verdict := &jobs[s.job].flight.verdict; err != nil && verdict.Err == nil {
				verdict.Err = wrongSignature(s.signature, err)
			}
		}
		signatures += len(signers)
		signers = signers[:0]
		batch.Reset()
	}
	for i := range jobs {
		verdict := &jobs[i].flight.verdict
		decoded, err := tx.Decode(v.cfg.ChainID, bytes.Clone(jobs[i].raw), jobs[i].key.limits)
		if err != nil {
			verdict.Err = err
			continue
		}
		verdict.Tx = decoded
		if v.cfg.Validate != nil {
			if verdict.Err = v.cfg.Validate(decoded); verdict.Err != nil {
				continue
			}
		}
		parsed := make([]keys.PublicKey, len(decoded.Signatures))
		for k, s := range decoded.Signatures {
			if parsed[k], err = v.keys.parse(keys.Scheme(s.Scheme), s.PublicKey); err != nil {
				verdict.Err = wrongKey(s, err)
				break
			}
		}
		if verdict.Err != nil {
			continue
		}
		for k, s := range decoded.Signatures {
			batch.Add(parsed[k], decoded.ID, s.Signature)
			signers = append(signers, signer{i, s})
		}
		if batch.Len() >= maxBatch {
			flush()
		}
	}
	flush()
	for i := range jobs {
		if verdict := &jobs[i].flight.verdict; verdict.Err != nil {
			verdict.Tx = nil
		}
	}
	return signatures
}

// wrongKey says that what stands as the public key is none.
func wrongKey(s *ledgerv1.Signature, err error) error {
	if errors.Is(err, keys.ErrScheme) {
		return tx.Reject(ledgerv1.Code_CODE_WRONG_SIGNATURE,
			"the signature of %s names scheme %d, which does not exist: name the scheme of the key", s.Account, s.Scheme)
	}
	return tx.Reject(ledgerv1.Code_CODE_WRONG_SIGNATURE,
		"the public key in the signature of %s is no key: put in the public key that is listed for the account (%v)", s.Account, err)
}

// wrongSignature turns a verdict on a signature into one on its transaction.
func wrongSignature(s *ledgerv1.Signature, err error) error {
	key := s.PublicKey[:min(len(s.PublicKey), keys.MaxPublicKeySize)]
	if errors.Is(err, keys.ErrHighS) {
		return tx.Reject(ledgerv1.Code_CODE_HIGH_S,
			"the signature of %s has a high s: replace s by the group's order minus s (key %x)", s.Account, key)
	}
	return tx.Reject(ledgerv1.Code_CODE_WRONG_SIGNATURE,
		"the signature of %s does not fit: sign this transaction's id with that key and scheme (%s key %x: %v)",
		s.Account, keys.Scheme(s.Scheme), key, err)
}
