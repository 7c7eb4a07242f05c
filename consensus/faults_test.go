package consensus

import (
	"context"
	"sync/atomic"
	"time"
)

// moodySigner is a signer that can be made to fail.
type moodySigner struct {
	Signer
	why    atomic.Pointer[error]
	missed atomic.Int64 // signatures that it did not give
}

// fail makes it fail with this error from now on, or work again with nil.
func (s *moodySigner) fail(err error) {
	if err == nil {
		s.why.Store(nil)
		return
	}
	s.why.Store(&err)
}

func (s *moodySigner) Sign(publicKey, message []byte) ([]byte, time.Time, error) {
	if why := s.why.Load(); why != nil {
		s.missed.Add(1)
		return nil, time.Time{}, *why
	}
	return s.Signer.Sign(publicKey, message)
}

// brokenGossip is a gossip whose Run fails.
type brokenGossip struct{ *chatter }

func (brokenGossip) Run(context.Context) error { return errDisk }
