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
	var y2 fe
	y2.square(x)
	y2.mul(&y2, x)
	y2.add(&y2, &fe{7})
	if !p.y.sqrt(&y2) {
		return false
	}
	// No point has y = 0, since the group's order is odd, so exactly one of the two roots is odd.
	if p.y.isOdd() != odd {
		p.y.neg(&p.y)
	}
	p.x = *x
	return true
}

// endomorphism sets p = λ·q at the price of one multiplication.
func (p *affine) endomorphism(q *affine) {
	p.x.mul(&q.x, &feBeta)
	p.y = q.y
}

func (p *jacobian) isInfinity() bool { return p.z.isZero() }

func (p *jacobian) setAffine(q *affine) { p.x, p.y, p.z = q.x, q.y, feOne }

// double sets p = 2q. Formula dbl-2009-l of the Explicit-Formulas Database.
func (p *jacobian) double(q *jacobian) {
	var a, b, c, d, e, f, z fe
	a.square(&q.x)
	b.square(&q.y)
	c.square(&b)
	d.add(&q.x, &b)
	d.square(&d)
	d.sub(&d, &a)
	d.sub(&d, &c)
	d.double(&d)
	e.double(&a)
	e.add(&e, &a)
	f.square(&e)
	z.mul(&q.y, &q.z)
	p.z.double(&z)
	p.x.sub(&f, &d)
	p.x.sub(&p.x, &d)
	d.sub(&d, &p.x)
	c.double(&c)
	c.double(&c)
	c.double(&c)
	p.y.mul(&e, &d)
	p.y.sub(&p.y, &c)
}

// addAffine sets p = p + q. Formula madd-2007-bl of the Explicit-Formulas Database.
func (p *jacobian) addAffine(q *affine) {
	if p.isInfinity() {
		p.setAffine(q)
		return
	}
	var zz, u, s, h, r fe
	zz.square(&p.z)
	u.mul(&q.x, &zz)
	s.mul(&q.y, &p.z)
	s.mul(&s, &zz)
	h.sub(&u, &p.x)
	r.sub(&s, &p.y)
	if h.isZero() {
		p.addSameX(&r)
		return
	}
	var hh, z fe
	hh.square(&h)
	z.add(&p.z, &h)
	z.square(&z)
	z.sub(&z, &zz)
	z.sub(&z, &hh)
	p.finishAdd(&p.x, &p.y, &h, &hh, &r)
	p.z = z
}

// add sets p = p + q. Formula add-2007-bl of the Explicit-Formulas Database.
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
	var hh, z fe
	hh.square(&h)
	z.add(&p.z, &q.z)
	z.square(&z)
	z.sub(&z, &zz1)
	z.sub(&z, &zz2)
	z.mul(&z, &h)
	p.finishAdd(&u1, &s1, &h, &hh, &r)
	p.z = z
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

// finishAdd sets the x and y of a sum from the terms that both addition formulas share: x and y of the first
// point on the common denominator, the differences h of x and r of y, and h².
func (p *jacobian) finishAdd(x, y, h, hh, r *fe) {
	var i, j, v, rr, t fe
	i.double(hh)
	i.double(&i)
	j.mul(h, &i)
	v.mul(x, &i)
	rr.double(r)
	t.mul(y, &j)
	p.x.square(&rr)
	p.x.sub(&p.x, &j)
	p.x.sub(&p.x, &v)
	p.x.sub(&p.x, &v)
	v.sub(&v, &p.x)
	p.y.mul(&rr, &v)
	t.double(&t)
	p.y.sub(&p.y, &t)
}
