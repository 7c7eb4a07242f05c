package mempool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// TestTranscripts replays the conversations in testdata. Time is virtual: it passes when a script says so.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/pool", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{t: t}
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(d) })
			s.close()
		})
	})
}

// script is the world of one transcript: a pool, the ledger it asks, and a chain that consists of its times.
type script struct {
	t       *testing.T
	pool    *Pool
	ledger  *ledger
	cancel  context.CancelFunc
	ended   chan error
	height  uint64
	next    time.Time         // of the next block: when the last one was precommitted
	ids     map[string]tx.ID  // by memo
	raws    map[string][]byte // by memo
	names   map[tx.ID]string
	peers   map[string]*source
	verdict map[string]Use // what usable says, by memo; Take by default
	log     []string       // what Dropped heard
}

func (s *script) close() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	if err := <-s.ended; err != nil {
		s.t.Errorf("Run: %v", err)
	}
	s.cancel = nil
}

func (s *script) run(d *datadriven.TestData) string {
	var out strings.Builder
	switch d.Cmd {
	case "new":
		s.begin(d)
	case "submit":
		for _, name := range bare(d) {
			fmt.Fprintf(&out, "%s: %s\n", name, describe(s.submit(name, s.raw(d, name))))
		}
	case "again": // exactly the same bytes
		for _, name := range bare(d) {
			fmt.Fprintf(&out, "%s: %s\n", name, describe(s.submit(name, s.raws[name])))
		}
	case "resign": // the same body under another key: the same id, other bytes
		for _, name := range bare(d) {
			body := decode(s.t, s.raws[name]).Body
			raw := signBody(s.t, body, body.Operations[0].Account, newKey(s.t, keys.SchemeSchnorr, "another"))
			fmt.Fprintf(&out, "%s: %s\n", name, describe(s.submit(name, raw)))
		}
	case "gossip":
		s.gossip(d, &out)
	case "reap":
		s.reap(d, &out)
	case "commit":
		s.commit(bare(d), &out)
	case "say": // what the state machine says in the next reaps: say keep a b
		words := bare(d)
		for _, name := range words[1:] {
			s.verdict[name] = map[string]Use{"take": Take, "keep": Keep, "drop": Drop, "stop": Stop, "keep-org": KeepOrg}[words[0]]
		}
	case "revoke", "list":
		s.ledger.set(func(l *ledger) { l.revoked[bare(d)[0]+"/alice"] = d.Cmd == "revoke" })
	case "ban":
		name := bare(d)[0]
		s.pool.Ban(decode(s.t, s.raws[name]), tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "it is poison"))
	case "discard":
		org := bare(d)[0]
		s.pool.Discard(org, tx.Reject(ledgerv1.Code_CODE_ORG_NOT_ACTIVE, "%s is suspended", org))
	case "recheck":
		s.pool.Recheck()
	case "settle":
		var in time.Duration
		d.ScanArgs(s.t, "in", &in)
		s.pool.Settle(time.Now().Add(in))
	case "advance":
		s.advance(d, &out)
	case "chain":
		s.chain(d, &out)
	case "state":
		s.state(&out)
	default:
		d.Fatalf(s.t, "unknown command %s", d.Cmd)
	}
	synctest.Wait()
	for _, line := range s.log {
		fmt.Fprintln(&out, line)
	}
	s.log = nil
	return out.String()
}

// bare returns the arguments without a value.
func bare(d *datadriven.TestData) (words []string) {
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			words = append(words, a.Key)
		}
	}
	return words
}

func (s *script) begin(d *datadriven.TestData) {
	s.close()
	*s = script{
		t: s.t, ledger: newLedger(), height: 1, next: time.Now(), ended: make(chan error, 1), ids: map[string]tx.ID{},
		raws: map[string][]byte{}, names: map[tx.ID]string{}, peers: map[string]*source{}, verdict: map[string]Use{},
	}
	cfg := s.ledger.config(s.t, Config{
		Height: 1, BlockTime: time.Now(),
		Dropped: func(id tx.ID, reason error) {
			s.log = append(s.log, fmt.Sprintf("dropped %s: %v", s.names[id], reason))
		},
	})
	d.MaybeScanArgs(s.t, "max-txs", &cfg.MaxTxs)
	d.MaybeScanArgs(s.t, "max-per-org", &cfg.MaxTxsPerOrg)
	d.MaybeScanArgs(s.t, "queue", &cfg.QueueTxs)
	var err error
	if s.pool, err = NewPool(cfg); err != nil {
		s.t.Fatal(err)
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go func() { s.ended <- s.pool.Run(ctx) }()
}

// raw makes a transaction: org=acme expires=2m bad (signed by a stranger's signature).
func (s *script) raw(d *datadriven.TestData, name string) []byte {
	org, expires := "acme", 2*time.Minute
	d.MaybeScanArgs(s.t, "org", &org)
	d.MaybeScanArgs(s.t, "expires", &expires)
	raw := transfer(s.t, org, name, time.Now().Add(expires), newKey(s.t, keys.SchemeEd25519, org))
	var spoilt bool
	if d.MaybeScanArgs(s.t, "spoilt", &spoilt); spoilt {
		raw[len(raw)-1] ^= 1
	}
	s.raws[name] = raw
	id := decode(s.t, raw).ID
	s.ids[name], s.names[id] = id, name
	return raw
}

func (s *script) submit(name string, raw []byte) error {
	_, err := s.pool.Submit(context.Background(), raw)
	return err
}

func (s *script) gossip(d *datadriven.TestData, out *strings.Builder) {
	var from string
	d.ScanArgs(s.t, "from", &from)
	src := s.peers[from]
	if src == nil {
		src = &source{name: from}
		s.peers[from] = src
	}
	var raws [][]byte
	for _, name := range bare(d) {
		if s.raws[name] == nil {
			s.raw(d, name)
		}
		raws = append(raws, s.raws[name])
	}
	dropped := s.pool.queue.offer(src, raws, time.Now())
	time.Sleep(time.Second)
	synctest.Wait()
	fmt.Fprintf(out, "%s so far: accepted %d, known %d, refused %d, no room for %d\n",
		from, src.accepted.Load(), src.known.Load(), src.refused.Load(), src.dropped.Load()+uint64(dropped))
}

func (s *script) usable(t *tx.Tx) (Use, error) {
	use, said := s.verdict[t.Body.Memo]
	if !said {
		return Take, nil
	}
	return use, tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "the state machine says so")
}

func (s *script) reap(d *datadriven.TestData, out *strings.Builder) {
	room := int64(1 << 20)
	d.MaybeScanArgs(s.t, "bytes", &room)
	raws := s.pool.Reap(room, s.next, s.usable)
	total := int64(0)
	for _, raw := range raws {
		total += SizeInBlock(len(raw))
	}
	if len(raws) == 0 {
		out.WriteString("nothing\n")
		return
	}
	fmt.Fprintf(out, "%s (%d bytes)\n", memos(s.t, raws), total)
}

// commit makes a block of the named transactions. Its time is when the block before it was committed.
func (s *script) commit(names []string, out *strings.Builder) {
	var ids []tx.ID
	for _, name := range names {
		ids = append(ids, s.ids[name])
	}
	s.block(ids, out)
}

func (s *script) block(ids []tx.ID, out *strings.Builder) {
	s.ledger.commit(ids...)
	s.height++
	expired := s.pool.Commit(s.height, s.next, ids, true)
	s.next = time.Now()
	var names []string
	for _, id := range expired {
		names = append(names, s.names[id])
	}
	if slices.Sort(names); len(names) > 0 {
		fmt.Fprintf(out, "expired for good: %s\n", strings.Join(names, " "))
	}
}

func (s *script) advance(d *datadriven.TestData, out *strings.Builder) {
	by, err := time.ParseDuration(bare(d)[0])
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	s.drainWake()
	time.Sleep(by)
	synctest.Wait()
	if s.drainWake() {
		out.WriteString("woken\n")
	}
}

func (s *script) drainWake() bool {
	select {
	case <-s.pool.Wake():
		return true
	default:
		return false
	}
}

// chain plays consensus for a while: it makes a block whenever the pool wants one, every 200 ms at most, and tells of each.
func (s *script) chain(d *datadriven.TestData, out *strings.Builder) {
	by, err := time.ParseDuration(bare(d)[0])
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	began := time.Now()
	end := time.After(by)
	blocks := 0
	for {
		for s.pool.WantsBlock() && time.Since(began) < by {
			raws := s.pool.Reap(1<<20, s.next, s.usable)
			var ids []tx.ID
			for _, raw := range raws {
				ids = append(ids, decode(s.t, raw).ID)
			}
			fmt.Fprintf(out, "%v: block of [%s], %v old\n", time.Since(began), memos(s.t, raws), time.Since(s.next))
			time.Sleep(200 * time.Millisecond)
			s.block(ids, out)
			synctest.Wait()
			blocks++
		}
		select {
		case <-end:
			fmt.Fprintf(out, "%d blocks\n", blocks)
			return
		case <-s.pool.Wake():
		}
	}
}

func (s *script) state(out *strings.Builder) {
	var names []string
	for name, id := range s.ids {
		if s.pool.Pending(id) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	fmt.Fprintf(out, "pending: %s\n", strings.Join(names, " "))
	fmt.Fprintf(out, "wants a block: %v\n", s.pool.WantsBlock())
}
