package keys

// affine is a point of secp256k1 other than infinity, which has no affine coordinates.
type affine struct{ x, y fe }

// jacobian is a point of secp256k1 with x = X/Z², y = Y/Z³, or infinity when Z is zero.
type jacobian struct{ x, y, z fe }

// generator is the base point of secp256k1.
var generator = affine{
	x: fe{0x59f2815b16f81798, 0x029bfcdb2dce28d9, 0x55a06295ce870b07, 0x79be667ef9dcbbac},
	y: fe{0x9c47d08ffb10d4b8, 0xfd17b448a6855419, 0x5da4fbfc0e1108a8, 0x483ada7726a3c465},
}

// lift sets p to the point with the given x and a y of the given oddness and reports whether there is one.
func (p *affine) lift(x *fe, odd bool) bool {
	y2 := ySquared(x)
	var y fe
	y.root(&y2)
	return p.liftTo(x, &y2, &y, odd)
}

// ySquared returns x³ + 7, the square of the y of the points with the given x.
func ySquared(x *fe) (y2 fe) {
	y2.square(x)
	y2.mul(&y2, x)
	y2.add(&y2, &fe{7})
	return y2
}

// liftTo is lift given ySquared of x and what is a root of that if there is one.
func (p *affine) liftTo(x, y2, y *fe, odd bool) bool {
	if !y.squareIs(y2) {
		return false
	}
	p.x, p.y = *x, *y
	// No point has y = 0, since the group's order is odd, so exactly one of the two roots is odd.
	if p.y.isOdd() != odd {
		p.y.neg(&p.y)
	}
	return true
}

// endomorphism sets p = λ·q at the price of one multiplication.
func (p *affine) endomorphism(q *affine) {
	p.x.mul(&q.x, &feBeta)
	p.y = q.y
}

func (p *jacobian) isInfinity() bool { return p.z.isZero() }

// hasX reports whether x is the affine x of p, given the square of p's z, which is not zero.
func (p *jacobian) hasX(x, zz *fe) bool {
	var t fe
	t.mul(x, zz)
	return t.equal(&p.x)
}

func (p *jacobian) setAffine(q *affine) { p.x, p.y, p.z = q.x, q.y, feOne }

// double sets p = 2q. With l = 3x²/2 and s = y²: x' = l² - 2xs, y' = l(xs - x') - s², z' = yz. Halving saves the
// additions of the formulas without fractions.
func (p *jacobian) double(q *jacobian) {
	var s, l, t fe
	p.z.mul(&q.y, &q.z)
	s.square(&q.y)
	l.square(&q.x)
	t.double(&l)
	l.add(&l, &t)
	l.halve()
	t.mul(&q.x, &s)
	s.square(&s)
	p.x.square(&l)
	p.x.sub(&p.x, &t)
	p.x.sub(&p.x, &t)
	t.sub(&t, &p.x)
	p.y.mul(&l, &t)
	p.y.sub(&p.y, &s)
}

// addAffine sets p = p + q.
func (p *jacobian) addAffine(q *affine) {
	if p.isInfinity() {
		p.setAffine(q)
		return
	}
	var zz, h, r fe
	zz.square(&p.z)
	h.mul(&q.x, &zz)
	h.sub(&h, &p.x)
	r.mul(&zz, &p.z)
	r.mul(&r, &q.y)
	r.sub(&r, &p.y)
	if h.isZero() {
		p.addSameX(&r)
		return
	}
	p.z.mul(&p.z, &h)
	p.finishAdd(&p.x, &p.y, &h, &r)
}

// add sets p = p + q.
func (p *jacobian) add(q *jacobian) {
	if q.isInfinity() {
		return
	}
	if p.isInfinity() {
		*p = *q
		return
	}
	var zz1, zz2, u1, u2, s1, s2, h, r fe
	zz1.square(&p.z)
	zz2.square(&q.z)
	u1.mul(&p.x, &zz2)
	u2.mul(&q.x, &zz1)
	s1.mul(&p.y, &q.z)
	s1.mul(&s1, &zz2)
	s2.mul(&q.y, &p.z)
	s2.mul(&s2, &zz1)
	h.sub(&u2, &u1)
	r.sub(&s2, &s1)
	if h.isZero() {
		p.addSameX(&r)
		return
	}
	p.z.mul(&p.z, &q.z)
	p.z.mul(&p.z, &h)
	p.finishAdd(&u1, &s1, &h, &r)
}

// addSameX finishes an addition of two points with the same x: equal points if the difference r of their y
// is zero, else opposite ones.
func (p *jacobian) addSameX(r *fe) {
	if r.isZero() {
		p.double(p)
		return
	}
	*p = jacobian{}
}

// finishAdd sets the x and y of a sum from the terms that both addition formulas share: x and y of the first point on
// the common denominator, and the differences h of x and r of y. The sum's z is that denominator times h.
func (p *jacobian) finishAdd(x, y, h, r *fe) {
	var hh, v, t fe
	hh.square(h)
	v.mul(x, &hh)
	hh.mul(&hh, h)
	t.mul(y, &hh)
	p.x.square(r)
	p.x.sub(&p.x, &hh)
	p.x.sub(&p.x, &v)
	p.x.sub(&p.x, &v)
	v.sub(&v, &p.x)
	p.y.mul(r, &v)
	p.y.sub(&p.y, &t)
}
