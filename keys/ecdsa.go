package keys

import "slices"

// ecdsaBatch is the scratch of verifying ECDSA signatures together. Its slices are kept between uses.
type ecdsaBatch struct {
	inverses, prefix []modN
}

// verifyECDSA verifies the ECDSA signatures with the given indices. ECDSA has no equation that could be summed over a batch,
// because a signature gives only the x of its point. What the signatures share is the inversion of all s.
func (b *Batch) verifyECDSA(indices []int, verdicts []error) {
	s, n := &b.ecdsa, len(indices)
	if n == 0 {
		return
	}
	s.inverses = slices.Grow(s.inverses[:0], n)[:n]
	s.prefix = slices.Grow(s.prefix[:0], n)[:n]
	for k, i := range indices {
		s.inverses[k].setBytes(b.entries[i].sig[32:])
	}
	invertAll(s.inverses, s.prefix)
	for k, i := range indices {
		e := &b.entries[i]
		if !verifyECDSAWith(&e.pub, &e.digest, &e.sig, &s.inverses[k]) {
			verdicts[i] = e.pub.confirm(&e.digest, &e.sig)
		}
	}
}
