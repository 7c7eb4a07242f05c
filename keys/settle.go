package keys

// minTogether is the number of signatures below which looking at their common equation is not cheaper than verifying singly.
const minTogether = 6

// maxShare is how many times its own size a failed batch may be verified in halves before the rest is verified singly.
const maxShare = 3

// equation is a batch of signatures of one scheme, as terms of a sum that is zero if all are valid. If any is not, it
// is zero with a probability of 2^-128.
type equation interface {
	// holds reports whether the sum of some of the terms is zero.
	holds(from, to int) bool
	// entry returns the index in the batch of the signature that a term stands for.
	entry(term int) int
}

// settle finds the verdicts of some of the terms: by their common equation, else by halves, else one by one. If suspect is set
// they are known not to be all valid. The budget says how many signatures may still be verified together. It reports whether they are all valid.
//
// The coefficients serve all parts of a batch, because they were fixed by the whole. What is wrong is always found
// wrong singly, so a mistake in the fast arithmetic that makes an equation fail costs time and nothing else.
func (b *Batch) settle(q equation, budget *int, from, to int, suspect bool, verdicts []error) bool {
	n := to - from
	if n == 0 {
		return true
	}
	if n >= minTogether && (suspect || *budget >= n) {
		if !suspect {
			*budget -= n
			if q.holds(from, to) {
				return true
			}
		}
		if *budget > 0 {
			mid := from + n/2
			left := b.settle(q, budget, from, mid, false, verdicts)
			right := b.settle(q, budget, mid, to, left, verdicts)
			return left && right
		}
	}
	all := true
	for i := from; i < to; i++ {
		k := q.entry(i)
		verdicts[k] = b.entries[k].verify()
		all = all && verdicts[k] == nil
	}
	return all
}
