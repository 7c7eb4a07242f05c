package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"sort"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

const (
	// headersKept is how many verified headers a Trust remembers, so that the next proof on the same one costs no signatures.
	headersKept = 256
	// maxLinks is how many changes of validators one lineage may have.
	maxLinks = 1 << 17
)

// Trust knows who may sign: the validators of every height up to the newest change that it has seen, and, until it sees
// another, of every height after that. It is safe for concurrent use.
type Trust struct {
	chainID string
	genesis [sha256.Size]byte

	// extending is held while a lineage is checked, so that no two are put together from the same beginning.
	extending sync.Mutex

	mu sync.RWMutex // guards what follows; the slice is replaced, never modified
	// sets are in ascending order of height. None before the genesis document is known.
	sets []*validators
	// owners are whose validator keys the genesis document lists, by key.
	owners map[string]owner

	// seen are signed headers whose votes have been checked, by the hash of their bytes.
	seen *lru.Cache[[sha256.Size]byte, *signedHeader]
}

// NewTrust returns the trust of whoever knows a genesis hash and nothing else. The chain id is that of the headers to come.
func NewTrust(chainID string, genesisHash [32]byte) *Trust {
	seen, err := lru.New[[sha256.Size]byte, *signedHeader](headersKept)
	if err != nil {
		panic(err) // The size is a constant above 0.
	}
	return &Trust{chainID: chainID, genesis: genesisHash, seen: seen}
}

// Known returns the height of the newest change of validators that is known: 0 before the genesis document is, 1 with that
// alone. The lineage from the next height on is what there is to learn.
func (t *Trust) Known() uint64 {
	if sets := t.known(); len(sets) > 0 {
		return sets[len(sets)-1].known()
	}
	return 0
}

func (t *Trust) known() []*validators {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.sets
}

// Extend checks a lineage, or the part of it that follows what is known, and learns from it. It may have the genesis document
// and changes that are known already: they must be the same. It may also have changes from between those that are known, as
// long as all of them together make one history. Nothing is learnt from a lineage that is wrong anywhere.
//
// An [*UnknownValidatorsError] says that a change is missing before one of those in the lineage.
func (t *Trust) Extend(l *proofv1.Lineage) error {
	if l == nil {
		return errorf(ErrMalformed, "the lineage is missing")
	}
	if len(l.Links) > maxLinks {
		return errorf(ErrTooLarge, "a lineage of %d changes: at most %d are taken at once", len(l.Links), maxLinks)
	}
	if err := noUnknown(l.ProtoReflect()); err != nil {
		return err
	}
	t.extending.Lock()
	defer t.extending.Unlock()

	known, owners := t.known(), t.owners
	switch {
	case len(known) == 0:
		first, listed, err := readGenesis(l.Genesis, t.genesis, t.chainID)
		if err != nil {
			return err
		}
		known, owners = []*validators{first}, listed
	case len(l.Genesis) > 0 && sha256.Sum256(l.Genesis) != t.genesis:
		return errorf(ErrWrongNetwork, "the lineage begins with another genesis document")
	}
	sets, err := t.merge(known, l.Links)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sets, t.owners = sets, owners
	return nil
}

// merge returns what is known together with what links say, in one history.
func (t *Trust) merge(known []*validators, links []*proofv1.Link) ([]*validators, error) {
	sets := make([]*validators, 1, len(known)+len(links))
	sets[0] = known[0]
	rest := known[1:]
	add := func(v *validators) error {
		before := sets[len(sets)-1]
		if !bytes.Equal(v.announced.ValidatorsHash, before.hash) {
			return errorf(ErrConflict, "header %d, which is known, is not of the validators that header %d announces", v.announced.Height, before.known())
		}
		sets = append(sets, v)
		return nil
	}
	last := uint64(1) // no change can stand in the first header: the genesis names the validators of the second block too
	for _, link := range links {
		if link == nil {
			return nil, errorf(ErrMalformed, "a change is missing from the lineage")
		}
		h, err := parseSigned(link.Signed, t.chainID)
		if err != nil {
			return nil, err
		}
		if h.Height <= last {
			return nil, errorf(ErrHeight, "a change at height %d stands after one at %d, or before any can be", h.Height, last)
		}
		last = h.Height
		for len(rest) > 0 && rest[0].announced.Height < h.Height {
			if err := add(rest[0]); err != nil {
				return nil, err
			}
			rest = rest[1:]
		}
		if h, err = t.check(h, link.Signed, sets); err != nil {
			return nil, err
		}
		next, err := announcedBy(link.Validators, h.Header)
		if err != nil {
			return nil, err
		}
		if len(rest) > 0 && rest[0].announced.Height == h.Height {
			if !bytes.Equal(rest[0].announced.Hash, h.Hash) {
				return nil, errorf(ErrConflict, "the change at height %d is known, with another header", h.Height)
			}
			next, rest = rest[0], rest[1:]
		}
		sets = append(sets, next)
	}
	for _, v := range rest {
		if err := add(v); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// at returns the validators that decide a height, as far as is known, and nil where nothing is.
func at(sets []*validators, height uint64) *validators {
	i := sort.Search(len(sets), func(i int) bool { return sets[i].from > height })
	if i == 0 {
		return nil
	}
	return sets[i-1]
}

// fits checks that a header is of the validators of its height, and that it announces those of the next one where these are
// known. It says nothing of votes.
func fits(h *Header, sets []*validators) (*validators, error) {
	by := at(sets, h.Height)
	if by == nil {
		return nil, &UnknownValidatorsError{Height: h.Height}
	}
	if !bytes.Equal(by.hash, h.ValidatorsHash) {
		return nil, &UnknownValidatorsError{Height: h.Height, Known: by.known()}
	}
	if h.Height < sets[len(sets)-1].from && !bytes.Equal(at(sets, h.Height+1).hash, h.NextValidatorsHash) {
		return nil, errorf(ErrConflict, "header %d announces other validators than those that are known to decide the next block", h.Height)
	}
	return by, nil
}

// check checks the votes for a header, or remembers that it has, and returns the header that it remembers.
func (t *Trust) check(h *signedHeader, s *proofv1.SignedHeader, sets []*validators) (*signedHeader, error) {
	by, err := fits(h.Header, sets)
	if err != nil {
		return nil, err
	}
	key := bytesOf(s)
	if seen, ok := t.seen.Get(key); ok && seen.by == by {
		return seen, nil
	}
	if err := h.checkVotes(by, t.chainID); err != nil {
		return nil, err
	}
	t.seen.Add(key, h)
	return h, nil
}

// bytesOf tells signed headers apart, votes included.
func bytesOf(s *proofv1.SignedHeader) (key [sha256.Size]byte) {
	hash := sha256.New()
	hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s.Header))))
	hash.Write(s.Header)
	hash.Write(s.Commit)
	hash.Sum(key[:0])
	return key
}

// Header checks a signed header: that it is of this network, and that the validators of its height have decided it. Every vote
// that is in it must be right. An [*UnknownValidatorsError] asks for more of the lineage.
func (t *Trust) Header(s *proofv1.SignedHeader) (*Header, error) {
	h, err := t.header(s)
	if err != nil {
		return nil, err
	}
	return h.Header, nil
}

func (t *Trust) header(s *proofv1.SignedHeader) (*signedHeader, error) {
	h, err := parseSigned(s, t.chainID)
	if err != nil {
		return nil, err
	}
	return t.check(h, s, t.known())
}
