package keys

// buckets are points in groups, each of which is to be summed.
type buckets struct {
	points []affine // the points, and then places for sums: one for each two points is enough
	start  []int32  // bucket → where its places begin in refs
	count  []int32  // bucket → how many it has now
	refs   []uint32 // places in points, by bucket
	next   int      // the first place for a sum that holds none yet
	pairs  pairs
	adder  adder
}

// addRound adds neighbours in each bucket, which halves what the buckets hold, and reports whether it found any. Places from n on are for sums: one that
// holds a sum already takes the next one, too.
func (b *buckets) addRound(n int) bool {
	b.pairs.reset()
	for i, c := range b.count {
		refs := b.refs[b.start[i]:][:c]
		for i := 1; i < len(refs); i += 2 {
			p, q := refs[i-1], refs[i]
			to := p
			if p&refPlace < uint32(n) {
				to = q
			}
			if to&refPlace < uint32(n) {
				to = uint32(b.next)
				b.next++
			}
			b.pairs.add(p, q, to)
			refs[i/2] = to
		}
		if c&1 == 1 {
			refs[c/2] = refs[c-1]
		}
	}
	if b.pairs.len() == 0 {
		return false
	}
	gone := b.adder.add(b.points, &b.pairs)
	first := 0 // pair of the bucket
	for i, c := range b.count {
		b.count[i] -= c / 2
		here := 0
		for here < len(gone) && gone[here] < first+int(c/2) {
			here++
		}
		refs := b.refs[b.start[i]:]
		for k := here - 1; k >= 0; k-- {
			b.count[i]-- // the last one moves to where nothing is
			refs[gone[k]-first] = refs[b.count[i]]
		}
		gone = gone[here:]
		first += int(c / 2)
	}
	return true
}
