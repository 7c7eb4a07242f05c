package mempool

import (
	"context"
	"slices"
	"time"
)

// serve sends to one peer until it has gone or the context ends. It walks the list of own transactions behind a cursor, so
// there is no queue per peer that could overflow: while a message is on its way the next one gathers in the list.
func (g *Gossip) serve(ctx context.Context, p *peer) {
	g.pulse(p)
	pulse := time.NewTimer(jitter(g.cfg.Pulse))
	defer pulse.Stop()
	var cursor uint64
	for {
		raws, end, news := g.pool.ownAfter(cursor)
		if len(raws) == 0 || g.sendTo(ctx, p, raws) {
			cursor = end
		}
		if len(raws) > 0 { // there may be more: do not wait
			done := make(chan struct{})
			close(done)
			news = done
		}
		select {
		case <-ctx.Done():
			return
		case <-p.gone:
			return
		case <-pulse.C:
			g.pulse(p)
			pulse.Reset(jitter(g.cfg.Pulse))
		case <-p.more:
			if expiresAt := p.takeSettle(); expiresAt != 0 && !p.send(encodeSettle(expiresAt)) {
				p.failed.Add(1) // it will be asked again, if there is still something to settle
			}
			g.sendAgain(ctx, p, cursor)
		case <-news:
		}
	}
}

// sendTo sends one message. If the peer does not take it, sendTo waits a little, so that a peer that is just being
// removed is not tried in a loop.
func (g *Gossip) sendTo(ctx context.Context, p *peer, raws [][]byte) bool {
	msg := encodeMessage(raws)
	if p.send(msg) {
		p.sent.Add(uint64(len(raws)))
		p.sentBytes.Add(uint64(len(msg)))
		return true
	}
	p.failed.Add(1)
	g.log.Debug("a peer did not take transactions", "peer", p.id, "count", len(raws))
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.gone:
	case <-timer.C:
	}
	return false
}

// sendAgain sends what is to be offered again and has not left the pool since. What the cursor has not reached will come
// anyway. Nothing is tried twice: there will be another time.
func (g *Gossip) sendAgain(ctx context.Context, p *peer, cursor uint64) {
	entries := p.takeAgain()
	for len(entries) > 0 {
		var raws [][]byte
		raws, entries = g.pool.still(entries, cursor)
		if len(raws) > 0 && !g.sendTo(ctx, p, raws) {
			return
		}
	}
}

// ownAfter returns own pending transactions for one message, in the order in which they came, that are past the
// cursor; the cursor behind them; and a channel that is closed when there may be more.
func (p *Pool) ownAfter(cursor uint64) (raws [][]byte, next uint64, news <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.pending.own
	from, _ := slices.BinarySearchFunc(own, cursor+1, func(e *entry, seq uint64) int {
		switch {
		case e.seq < seq:
			return -1
		case e.seq > seq:
			return 1
		}
		return 0
	})
	room := batchBytes
	for _, e := range own[from:] {
		if !e.gone {
			if room -= sizeInMessage(len(e.tx.Raw)); len(raws) > 0 && (room < 0 || len(raws) == maxMessageTxs) {
				return raws, cursor, p.news
			}
			raws = append(raws, e.tx.Raw)
		}
		cursor = e.seq
	}
	return raws, cursor, p.news
}

// still returns the bytes of those entries that are pending, for one message, and the entries that did not fit.
func (p *Pool) still(entries []*entry, cursor uint64) (raws [][]byte, rest []*entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	room := batchBytes
	for i, e := range entries {
		if e.gone || e.seq > cursor {
			continue
		}
		if room -= sizeInMessage(len(e.tx.Raw)); len(raws) > 0 && (room < 0 || len(raws) == maxMessageTxs) {
			return raws, entries[i:]
		}
		raws = append(raws, e.tx.Raw)
	}
	return raws, nil
}

// overstayed returns pending transactions that are to be offered again now, within the bounds for one period, and sets the
// time for the next offer.
func (p *Pool) overstayed() (own, foreign []*entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	txs, room := reofferTxs, reofferBytes
	for el := p.pending.byCheck.Front(); el != nil && txs > 0 && room > 0; el = el.Next() {
		e := el.Value.(*entry)
		if e.offerAt.After(now) {
			continue
		}
		e.offers++
		e.offerAt = now.Add(min(reofferAfter<<min(e.offers, 10), reofferMost))
		txs--
		room -= len(e.tx.Raw)
		if e.own {
			own = append(own, e)
		} else {
			foreign = append(foreign, e)
		}
	}
	return own, foreign
}

// idle reports whether nothing is pending, and returns a channel that is closed when something is inserted.
func (p *Pool) idle() (empty bool, news <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending.byID) == 0, p.news
}
