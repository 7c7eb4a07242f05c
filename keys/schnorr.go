package keys

import "encoding/binary"

// schnorrTag is the tag of the hash from which the coefficients of a Schnorr batch are derived.
var schnorrTag = NewTag("althing/keys/batch/schnorr/v1")

// schnorrBatch is the scratch of verifying Schnorr signatures together. Its slices are kept between uses.
type schnorrBatch struct {
	terms  []term
	keys   map[[MaxPublicKeySize]byte]int // encoding of a key → its index in sums
	sums   []keySum
	y2, y  []fe // of each term's R
	msm    msm
	budget int // how many signatures may still be verified together
}

// term is what one signature contributes to the equation of a batch.
type term struct {
	index int // of the entry
	key   *PublicKey
	r     affine
	a     half // the coefficient, never negative
	as    modN // a·s
	ae    modN // a·e
}

// keySum is what all signatures under one key contribute together.
type keySum struct {
	point *affine
	k     modN
}

// verifySchnorr verifies the Schnorr signatures with the given indices. A signature (r, s) is valid if r is the x of
// a curve point and, with R the one of even y, R + e·P - s·G is infinity. That is summed over the batch, each times a
// coefficient of 128 bits that nobody could know before the whole batch was fixed:
//
//	Σ aᵢ·Rᵢ + Σ (aᵢ·eᵢ)·Pᵢ - (Σ aᵢ·sᵢ)·G = infinity
//
// The sum of a batch with a wrong signature is infinity with a probability of 2^-128.
func (b *Batch) verifySchnorr(indices []int, verdicts []error) {
	s := &b.schnorr
	if len(indices) < minTogether {
		for _, i := range indices {
			verdicts[i] = b.entries[i].verify()
		}
		return
	}
	if s.keys == nil {
		s.keys = make(map[[MaxPublicKeySize]byte]int)
	}
	s.terms = s.terms[:0]
	coefficients := newStream(b.seed(&schnorrTag, indices))
	for _, i := range indices {
		e := &b.entries[i]
		var a [16]byte
		_, _ = coefficients.Read(a[:])
		t := term{index: i, key: &e.pub, a: half{hi: binary.BigEndian.Uint64(a[:]), lo: binary.BigEndian.Uint64(a[8:])}}
		t.r.x.setBytes(e.sig[:32])
		k := modN{t.a.lo, t.a.hi}
		var sigS modN
		sigS.setBytes(e.sig[32:])
		t.as.mul(&k, &sigS)
		c := challenge(&e.pub, &e.digest, &e.sig)
		t.ae.mul(&k, &c)
		s.terms = append(s.terms, t)
	}
	s.lift(verdicts)
	s.budget = maxShare * len(s.terms)
	b.settle(s, &s.budget, 0, len(s.terms), false, verdicts)
}

// lift finds the y of each R and drops the terms whose x no point has.
func (s *schnorrBatch) lift(verdicts []error) {
	s.y2 = s.y2[:0]
	for i := range s.terms {
		s.y2 = append(s.y2, ySquared(&s.terms[i].r.x))
	}
	s.y = append(s.y[:0], s.y2...)
	roots(s.y, s.msm.adder.plain)
	kept := s.terms[:0]
	for i := range s.terms {
		t := &s.terms[i]
		// Whoever found the root, it is squared here and compared.
		if !t.r.liftTo(&t.r.x, &s.y2[i], &s.y[i], false) {
			verdicts[t.index] = ErrSignature
			continue
		}
		kept = append(kept, *t)
	}
	s.terms = kept
}

// entry implements equation.
func (s *schnorrBatch) entry(i int) int { return s.terms[i].index }

// holds implements equation.
func (s *schnorrBatch) holds(from, to int) bool {
	terms := s.terms[from:to]
	s.msm.reset()
	clear(s.keys)
	s.sums = s.sums[:0]
	var base modN
	for i := range terms {
		t := &terms[i]
		s.msm.add(&t.r, t.a)
		base.add(&base, &t.as)
		// Many signatures under one key, as when one account pays many, cost one point.
		k, seen := s.keys[t.key.raw]
		if !seen {
			k = len(s.sums)
			s.keys[t.key.raw] = k
			s.sums = append(s.sums, keySum{point: t.key.point})
		}
		s.sums[k].k.add(&s.sums[k].k, &t.ae)
	}
	base.neg(&base)
	ok := s.msm.addFull(&generator, &base)
	for i := range s.sums {
		ok = s.msm.addFull(s.sums[i].point, &s.sums[i].k) && ok
	}
	total := s.msm.sum()
	return ok && total.isInfinity()
}
