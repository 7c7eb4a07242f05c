package node

import (
	"bytes"
	"context"
	"log/slog"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/consensus"
	"github.com/althing-ledger/althing/consensus/signer"
	"github.com/althing-ledger/althing/internal/home"
)

// voter votes with the key that the ledger lists for this node. The zero voter is that of an observer.
type voter struct {
	rotator *signer.Rotator
	machine *app.App
	self    string
}

// openVoter opens what the node votes with.
func openVoter(h *home.Home, machine *app.App, log *slog.Logger) (*voter, error) {
	rotator, err := h.OpenSigner(machine.Genesis().ChainID, log)
	if err != nil {
		return nil, err
	}
	v := &voter{rotator: rotator, machine: machine, self: h.Config.Name}
	v.committed(machine.Height())
	return v, nil
}

// signer is nil, and not something that holds nil, for an observer.
func (v *voter) signer() consensus.Signer {
	if v.rotator == nil {
		return nil
	}
	return v.rotator
}

// committed takes notice of a committed height before consensus goes on: the next one may need another key.
func (v *voter) committed(height uint64) {
	if v.rotator == nil {
		return
	}
	ledger := v.machine.Registry()
	node := ledger.Listed(v.self)
	if node == nil {
		return
	}
	// From when on no other key of the node has a vote: at once, where none has a seat.
	from := uint64(0)
	for _, seat := range ledger.Seats.GetSeats() {
		switch {
		case seat.Node != v.self:
		case !bytes.Equal(seat.ValidatorKey, node.ValidatorKey):
			from = max(from, seat.UntilHeight)
		case seat.UntilHeight == 0:
			from = max(from, seat.FromHeight)
		}
	}
	if from == 0 {
		from = height + 1
	}
	v.rotator.Rotate(node.ValidatorKey, from, height+1)
}

func (v *voter) run(ctx context.Context) error {
	if v.rotator == nil {
		<-ctx.Done()
		return nil
	}
	return v.rotator.Run(ctx)
}

func (v *voter) close() error {
	if v.rotator == nil {
		return nil
	}
	return v.rotator.Close()
}
