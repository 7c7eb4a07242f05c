package mempool

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// crowd is a queue and who stands in it, without signatures: only the fields that say who pays.
type crowd struct {
	t    testing.TB
	q    *queue
	raws map[string][]byte // that were made, by organisation and size
	n    int               // arrivals that were made
}

func newCrowd(t testing.TB, txs, batch int) *crowd {
	return &crowd{t: t, q: newQueue(Config{QueueTxs: txs, QueueBytes: 64 << 20, BatchTxs: batch}), raws: map[string][]byte{}}
}

// raw returns something of about size bytes that claims to be paid by an organisation.
func (c *crowd) raw(org string, size int) []byte {
	c.n++
	name := fmt.Sprint(org, size)
	if raw := c.raws[name]; raw != nil {
		return raw
	}
	body := &ledgerv1.Body{Payer: org + "/alice", Nonce: make([]byte, max(size-len(org)-16, 1))}
	encoded, err := body.MarshalVTStrict()
	if err != nil {
		c.t.Fatal(err)
	}
	raw, err := (&ledgerv1.Tx{Body: encoded}).MarshalVTStrict()
	if err != nil {
		c.t.Fatal(err)
	}
	c.raws[name] = raw
	return raw
}

// client hands in up to n and returns how many found room.
func (c *crowd) client(source, org string, n, size int) (taken int) {
	for ; taken < n; taken++ {
		if err := c.q.submit(source, org, math.MaxInt, arrival{raw: c.raw(org, size)}); err != nil {
			break
		}
	}
	return taken
}

func (c *crowd) peer(name, org string, n, size int) (taken int) {
	var raws [][]byte
	for range n {
		raws = append(raws, c.raw(org, size))
	}
	return n - c.q.offer(&source{name: name}, raws, time.Unix(1, 0))
}

// batch takes a batch and gives back its room; it returns how much of it is of each line, as lane/source/org.
func (c *crowd) batch() map[string]int {
	batch := c.q.take()
	share := map[string]int{}
	for _, a := range batch {
		share[a.line.parent.parent.name+"/"+a.line.parent.name+"/"+a.line.name]++
	}
	c.q.done(batch, 0)
	return share
}

// TestLoneArrivalIsNext: whatever floods the queue, and from wherever, an arrival of another client, peer or organisation
// is in the next batch, at whatever moment it comes, and batches stay full.
func TestLoneArrivalIsNext(t *testing.T) {
	t.Parallel()
	const room, large, size = 1500, 25, 64
	floods := map[string]func(c *crowd){
		"a client":               func(c *crowd) { c.client("flood", "acme", room, 300) },
		"a client for the same":  func(c *crowd) { c.client("flood", "globex", room, 300) },
		"a peer":                 func(c *crowd) { c.peer("flood", "acme", room, 300) },
		"a client, large ones":   func(c *crowd) { c.client("flood", "acme", large, 400_000) },
		"the same client":        func(c *crowd) { c.client("quiet", "acme", room, 300) },
		"the same client, large": func(c *crowd) { c.client("quiet", "acme", large, 400_000) },
		"the same peer":          func(c *crowd) { c.peer("quiet", "acme", room, 300) },
		"the same peer, large":   func(c *crowd) { c.peer("quiet", "acme", large, 400_000) },
		"the same, nonsense":     func(c *crowd) { c.client("quiet", "?", room, 300) },
		"client and peer":        func(c *crowd) { c.client("flood", "acme", room, 300); c.peer("flood", "acme", room, 300) },
		"a few clients": func(c *crowd) {
			for i := range 9 {
				c.client(fmt.Sprint(i), "acme", room/10, 300)
			}
		},
		"the same, for a few others": func(c *crowd) {
			for i := range 4 {
				c.client("quiet", fmt.Sprint("org", i), room/10, 300)
			}
		},
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			c := newCrowd(t, room, size)
			flood(c)
			for round := range 60 {
				for range random.IntN(4) {
					large := c.q.all.bytes > maxBatchBytes
					if share := c.batch(); total(share) < size && c.q.all.waiting > 0 && !large {
						t.Fatalf("a batch of %v though more wait", share)
					}
					flood(c)
				}
				came := 0
				line := "clients/quiet/globex"
				if random.IntN(2) == 0 {
					came = c.client("quiet", "globex", 1, 300)
				} else {
					came, line = c.peer("quiet", "globex", 1, 300), "peers/quiet/globex"
				}
				if came != 1 {
					t.Fatalf("round %d: no room for %s", round, line)
				}
				if share := c.batch(); share[line] == 0 {
					t.Fatalf("round %d: %s is not in the next batch, which is %v", round, line, share)
				}
				flood(c)
			}
		})
	}
}

func total(share map[string]int) (n int) {
	for _, k := range share {
		n += k
	}
	return n
}

// TestNewcomersDoNotStarve: a stream of sources that nobody has seen before does not keep an old one from its turns.
func TestNewcomersDoNotStarve(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 200, 16)
	if c.client("old", "acme", 60, 300) != 60 {
		t.Fatal("no room")
	}
	batches := 0
	for ; c.q.clients.parts["old"] != nil; batches++ {
		for range 32 {
			c.client(fmt.Sprint("new", c.n), "acme", 1, 300)
		}
		c.batch()
		if batches > 60*200/16 { // one each time that everybody had one
			t.Fatalf("%d of 60 still wait", c.q.clients.parts["old"].txs)
		}
	}
}

// TestLargeNewcomersWait: what is large pays before it goes, so fresh names are no way to get large ones in first.
func TestLargeNewcomersWait(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 1000, 20)
	c.client("old", "acme", 50, 300)
	c.batch()
	for i := range 10 {
		c.client(fmt.Sprint("new", i), "acme", 1, 400_000)
	}
	if share := c.batch(); share["clients/old/acme"] != 20 {
		t.Errorf("the batch is %v", share)
	}
}

// TestSharesOfTurns: lanes, sources and organisations that all have enough get equal parts by bytes and signatures.
func TestSharesOfTurns(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100_000, 100)
	c.client("a", "acme", 4000, 1024)
	c.client("a", "globex", 4000, 1024)
	c.client("b", "acme", 4000, 3*1024)
	c.peer("c", "acme", 4000, 1024)
	got := map[string]int{}
	for range 30 {
		for line, n := range c.batch() {
			got[line] += n
		}
	}
	// b's cost twice as much each.
	want := map[string]int{"clients/a/acme": 429, "clients/a/globex": 429, "clients/b/acme": 429, "peers/c/acme": 1714}
	for line, n := range want {
		if got[line] < n-10 || got[line] > n+10 {
			t.Errorf("%s got %d, want about %d: %v", line, got[line], n, got)
		}
	}
}

// TestFlowAddsUp: after any sequence of arrivals, batches and discards the numbers are right, the order within a line is
// that of arrival, and in the end nothing is left.
func TestFlowAddsUp(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	c := newCrowd(t, 500, 16)
	last := map[*flow]time.Time{}
	var under [][]arrival // being verified
	now := time.Unix(1, 0)
	for range 5000 {
		org := fmt.Sprint("org", random.IntN(5))
		from := fmt.Sprint("source", random.IntN(5))
		now = now.Add(1)
		switch random.IntN(8) {
		default:
			_ = c.q.submit(from, org, math.MaxInt, arrival{raw: c.raw(org, 20+random.IntN(5000)), at: now})
		case 0:
			c.q.offer(&source{name: from}, [][]byte{c.raw(org, 50), c.raw(org, 60)}, now)
		case 1:
			batch := c.q.take()
			for _, a := range batch {
				if a.at.Before(last[a.line]) {
					t.Fatalf("seed %d: %s was overtaken", seed, a.line.name)
				}
				last[a.line] = a.at
			}
			under = append(under, batch)
		case 2:
			if len(under) > 0 {
				c.q.done(under[0], time.Millisecond)
				under = under[1:]
			}
		case 3:
			if random.IntN(20) == 0 {
				for _, a := range c.q.forget(org) {
					if claimedOrg(a.raw) != org {
						t.Fatalf("seed %d: forgot one of %s", seed, claimedOrg(a.raw))
					}
				}
				for _, lane := range []*flow{c.q.clients, c.q.peers} {
					for _, s := range lane.parts {
						if l := s.parts[org]; l != nil && l.waiting > 0 {
							t.Fatalf("seed %d: %d of %s still wait", seed, l.waiting, org)
						}
					}
				}
			}
		}
		checkFlow(t, seed, c.q.all)
	}
	for c.q.all.waiting > 0 {
		under = append(under, c.q.take())
	}
	for _, batch := range under {
		c.q.done(batch, time.Millisecond)
	}
	for _, f := range []*flow{c.q.all, c.q.clients, c.q.peers} {
		if f.txs != 0 || f.bytes != 0 || len(f.turns) != 0 || f != c.q.all && len(f.parts) != 0 {
			t.Errorf("seed %d: %s has %d left, %d parts", seed, f.name, f.txs, len(f.parts))
		}
	}
}

func checkFlow(t *testing.T, seed uint64, f *flow) {
	t.Helper()
	if f.parts == nil {
		if f.waiting != len(f.line) || f.txs < f.waiting {
			t.Fatalf("seed %d: line %s: %d wait of %d, counted %d", seed, f.name, len(f.line), f.txs, f.waiting)
		}
		return
	}
	parts := f.parts
	if f.parent == nil {
		return // the lanes are no parts by name
	}
	txs, waiting, size, turns := 0, 0, int64(0), 0
	for _, p := range parts {
		checkFlow(t, seed, p)
		txs, waiting, size = txs+p.txs, waiting+p.waiting, size+p.bytes
		if p.waiting > 0 {
			turns++
		}
		if (p.waiting > 0) != slices.Contains(f.turns, p) {
			t.Fatalf("seed %d: %s waits with %d, and its place is %d", seed, p.name, p.waiting, p.place)
		}
	}
	if txs != f.txs || waiting != f.waiting || size != f.bytes || turns != len(f.turns) {
		t.Fatalf("seed %d: %s counts %d, %d and %d, its parts have %d, %d and %d", seed, f.name, f.txs, f.waiting, f.bytes, txs, waiting, size)
	}
}

func TestClaimedOrg(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 1, 1)
	paid := transfer(t, "acme", "memo", time.Now().Add(time.Hour), newKey(t, keys.SchemeSchnorr, "k"))
	body := decode(t, paid).Body
	body.Payer = "globex/bob"
	for name, test := range map[string]struct {
		raw  []byte
		want string
	}{
		"first operation": {paid, "acme"},
		"payer":           {signBody(t, body, "acme/alice", newKey(t, keys.SchemeSchnorr, "k")), "globex"},
		"payer only":      {c.raw("initech", 50), "initech"},
		"nothing":         {nil, ""},
		"no account":      {c.raw("Acme", 50), ""},
		"too long":        {c.raw("a"+string(make([]byte, 5000)), 50), ""},
		"random":          {randomBytes(t, 300), ""},
		"cut off":         {paid[:20], ""},
	} {
		if got := claimedOrg(test.raw); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// FuzzClaimedOrg: whatever the bytes are, a claim is a name or nothing. What decodes and is encoded in the usual order claims
// what it says.
func FuzzClaimedOrg(f *testing.F) {
	f.Add(transfer(f, "acme", "memo", time.Unix(1_900_000_000, 0), newKey(f, keys.SchemeSchnorr, "k")))
	f.Add([]byte{10, 2, 34, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		org := claimedOrg(raw)
		decoded, err := tx.Decode(testChain, raw, testLimits)
		if err != nil {
			return
		}
		body, err := decoded.Body.MarshalVTStrict()
		if err != nil {
			t.Fatal(err)
		}
		again, err := (&ledgerv1.Tx{Body: body, Signatures: decoded.Signatures}).MarshalVTStrict()
		if err != nil {
			t.Fatal(err)
		}
		if got := claimedOrg(again); got != decoded.PayerOrg {
			t.Fatalf("%x claims %q and is paid by %q (as it came it claimed %q)", again, got, decoded.PayerOrg, org)
		}
	})
}
