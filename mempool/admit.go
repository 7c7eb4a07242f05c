package mempool

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// candidate is an arrival on its way into the pool.
type candidate struct {
	arrival
	hash    [32]byte
	tx      *tx.Tx
	err     error
	checked uint64 // the state it was authorised on is not older than this
	round   uint64 // and it was authorised after this call of Recheck
}

// errKnown marks nothing wrong: the id is pending already. It never leaves this file.
var errKnown = errors.New("pending already")

// admitArrivals is the worker: it takes whatever has queued and decides on it, one batch at a time.
func (p *Pool) admitArrivals(ctx context.Context) error {
	var began time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.queue.ready:
		}
		if !p.pace(ctx, began) {
			return nil
		}
		batch := p.queue.take()
		if len(batch) == 0 {
			continue
		}
		began = time.Now()
		err := p.admit(batch)
		p.queue.done(batch, time.Since(began))
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// pace waits until the next batch may begin: at once if the last one began long ago or a whole one waits. It reports
// whether the context still lives.
func (p *Pool) pace(ctx context.Context, began time.Time) bool {
	wait := p.cfg.BatchPace - time.Since(began)
	if wait <= 0 || p.queue.whole() {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-p.queue.full:
			if p.queue.whole() {
				return true
			}
		}
	}
}

// admit decides on a batch and answers whoever waits. It returns an error only if the machine failed.
func (p *Pool) admit(batch []arrival) error {
	all := make([]*candidate, len(batch))
	for i, a := range batch {
		all[i] = &candidate{arrival: a, hash: sha256.Sum256(a.raw)}
	}
	p.beginAdmission(all)
	defer p.endAdmission()
	limits := p.cfg.Limits()
	p.verify(all, limits)
	p.lookUp(all)
	workers := p.cfg.Verifier.cfg.Workers
	inChunks(len(all), workers, chunkMin, chunkMax, func(from, to int) {
		for _, c := range all[from:to] {
			if c.err == nil {
				c.err = p.judge(c.tx)
			}
		}
	})
	p.cfg.Verifier.promote(p.insert(all), limits)
	return p.answer(all)
}

// beginAdmission answers what can be answered without verification. From now on commits are noted.
func (p *Pool) beginAdmission(all []*candidate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admitting, p.discarding = map[tx.ID]struct{}{}, map[string]error{}
	for _, c := range all {
		c.checked, c.round = p.height, p.pending.round
		if e := p.pending.byHash[c.hash]; e != nil {
			c.tx, c.err = e.tx, errKnown
		} else if c.err = p.bannedLocked(c.hash); c.err == nil {
			c.err = p.roomLocked()
		}
	}
}

func (p *Pool) endAdmission() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admitting, p.discarding = nil, nil
}

func (p *Pool) verify(all []*candidate, limits tx.Limits) {
	raws, open := make([][]byte, 0, len(all)), make([]*candidate, 0, len(all))
	for _, c := range all {
		if c.err == nil {
			raws, open = append(raws, c.raw), append(open, c)
		}
	}
	for i, v := range p.cfg.Verifier.Verify(raws, limits) {
		open[i].tx, open[i].err = v.Tx, v.Err
	}
}

// lookUp finds those whose id is pending or banned, under whatever encoding.
func (p *Pool) lookUp(all []*candidate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range all {
		switch {
		case c.err != nil:
		case p.pending.byID[c.tx.ID] != nil:
			c.err = errKnown
		default:
			c.err = p.bannedLocked(c.tx.ID)
		}
	}
}

// judge says whether a verified transaction may become pending. What is committed is so even after its expiry: whoever
// sends it again learns the first outcome.
func (p *Pool) judge(t *tx.Tx) error {
	switch committed, err := p.cfg.Committed(t.ID, t.ExpiresAt); {
	case err != nil:
		return err
	case committed:
		return ErrCommitted
	}
	now := p.cfg.Now()
	expires := time.Unix(0, t.ExpiresAt)
	if !expires.After(now) {
		return tx.Reject(ledgerv1.Code_CODE_EXPIRED, "the transaction expired at %s, it is %s: sign it anew",
			expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if most := p.cfg.MaxExpiry(); expires.After(now.Add(most)) {
		return tx.Reject(ledgerv1.Code_CODE_EXPIRY_TOO_DISTANT,
			"the transaction expires at %s, the charter allows %v from now: sign it anew with an earlier expiry",
			expires.UTC().Format(time.RFC3339), most)
	}
	return p.cfg.Authorize(t)
}

// insert makes candidates pending as far as there is room, and returns those that are.
func (p *Pool) insert(all []*candidate) (inserted []*tx.Tx) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	for _, c := range all {
		if c.err != nil {
			continue
		}
		if c.err = p.admissibleLocked(c.tx); c.err != nil {
			continue
		}
		if len(p.pending.byID) == 0 {
			p.since = now
		}
		p.pending.insert(&entry{
			tx: c.tx, size: SizeInBlock(len(c.tx.Raw)), own: c.from == nil, from: c.from,
			expiresAt: c.tx.ExpiresAt, checked: c.checked, round: c.round, offerAt: now.Add(reofferAfter),
		})
		if c.round < p.pending.round {
			notify(p.recheck)
		}
		inserted = append(inserted, c.tx)
		p.counts.Accepted++
		p.counts.Waited += now.Sub(c.at)
	}
	if len(inserted) == 0 {
		return nil
	}
	p.hungry.feed(freshRation)
	close(p.news)
	p.news = make(chan struct{})
	notify(p.wake)
	notify(p.rearm)
	return inserted
}

// admissibleLocked says why a transaction that was found good cannot become pending after all.
func (p *Pool) admissibleLocked(t *tx.Tx) error {
	if _, committed := p.admitting[t.ID]; committed {
		return ErrCommitted
	}
	if p.pending.byID[t.ID] != nil {
		return errKnown
	}
	if err := p.discarding[t.PayerOrg]; err != nil {
		return err
	}
	if err := p.bannedLocked(t.Hash); err != nil {
		return err
	}
	if err := p.bannedLocked(t.ID); err != nil {
		return err
	}
	if !time.Unix(0, t.ExpiresAt).After(p.blockTime) {
		return tx.Reject(ledgerv1.Code_CODE_EXPIRED, "the transaction expired at %s, the newest block is later: sign it anew",
			time.Unix(0, t.ExpiresAt).UTC().Format(time.RFC3339))
	}
	if err := p.roomLocked(); err != nil {
		return err
	}
	size := int64(len(t.Raw))
	free, freeBytes := p.cfg.MaxTxs-len(p.pending.byID), p.cfg.MaxBytes-p.pending.bytes
	if freeBytes < size {
		return &FullError{What: "the pool", RetryAfter: p.drain.until(p.cfg.MaxTxs / 8)}
	}
	l := p.pending.lines[t.PayerOrg]
	if l == nil {
		return nil
	}
	if l.txs >= min(p.cfg.MaxTxsPerOrg, free) || l.bytes+size > min(p.cfg.MaxBytesPerOrg, freeBytes) {
		return &FullError{What: "the share of " + t.PayerOrg, RetryAfter: p.drain.until(l.txs / 8)}
	}
	return nil
}

// roomLocked returns a [*FullError] if there is no room for anybody.
func (p *Pool) roomLocked() error {
	if len(p.pending.byID) >= p.cfg.MaxTxs || p.pending.bytes >= p.cfg.MaxBytes {
		return &FullError{What: "the pool", RetryAfter: p.drain.until(p.cfg.MaxTxs / 8)}
	}
	return nil
}

// answer tells clients and counts for peers. It returns the first failure of the machine.
func (p *Pool) answer(all []*candidate) (failure error) {
	p.count(all)
	for _, c := range all {
		_, rejected := tx.CodeOf(c.err)
		var full *FullError
		switch {
		case rejected || errors.As(c.err, &full):
		case errors.Is(c.err, errKnown):
			c.err = nil
		case !errors.Is(c.err, ErrCommitted) && failure == nil:
			failure = c.err
		}
		if c.reply == nil {
			if rejected && c.err != nil {
				p.cfg.Logger.Debug("refused a transaction of a peer", "peer", c.from.name, "reason", c.err)
			}
			continue
		}
		if c.err != nil && !errors.Is(c.err, ErrCommitted) {
			c.tx = nil
		}
		c.reply(c.tx, c.err)
	}
	return failure
}

func (p *Pool) count(all []*candidate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range all {
		var full *FullError
		_, rejected := tx.CodeOf(c.err)
		switch {
		case c.err == nil:
			if c.from != nil {
				c.from.accepted.Add(1)
			}
		case rejected:
			p.counts.refuse(c.err)
			if c.from != nil {
				c.from.refused.Add(1)
			}
		case errors.As(c.err, &full):
			p.counts.Full++
			if c.from != nil {
				c.from.dropped.Add(1)
			}
		case errors.Is(c.err, errKnown):
			p.counts.Known++
			if c.from != nil {
				c.from.known.Add(1)
			}
		case errors.Is(c.err, ErrCommitted):
			p.counts.AlreadyCommitted++
			if c.from != nil {
				c.from.known.Add(1)
			}
		}
	}
}
