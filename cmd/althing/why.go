package main

import (
	"fmt"
	"io"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// progressView is how far a node sees consensus on the next block, and what keeps the network from making it.
type progressView struct {
	// Node is the one that was asked.
	Node   string `json:"node"`
	Height uint64 `json:"height"`
	Round  uint32 `json:"round"`
	Step   string `json:"step"`
	Since  string `json:"since"`
	// Wanted says that there is something to put into a block.
	Wanted bool `json:"wanted"`
	// Obstacle is what keeps the network from making it; empty when nothing does.
	Obstacle   string              `json:"obstacle"`
	TotalPower uint64              `json:"total_power"`
	VotedPower uint64              `json:"voted_power"`
	Validators []validatorProgress `json:"validators"`
}

type validatorProgress struct {
	Name         string `json:"name"`
	Org          string `json:"org"`
	Power        uint64 `json:"power"`
	State        string `json:"state"`
	Height       uint64 `json:"height"`
	Prevoted     bool   `json:"prevoted"`
	Precommitted bool   `json:"precommitted"`
	Proposer     bool   `json:"proposer"`
}

// progressOf returns nil for a node that does not say.
func progressOf(said *ledgerv1.GetStatusResponse) *progressView {
	p := said.GetProgress()
	if p == nil {
		return nil
	}
	v := &progressView{
		Node: said.Node, Height: p.Height, Round: p.Round, Step: p.Step, Wanted: p.Wanted, Obstacle: p.Obstacle,
		TotalPower: p.TotalPower, VotedPower: p.VotedPower, Validators: []validatorProgress{},
	}
	if p.Since != nil {
		v.Since = p.Since.AsTime().UTC().Format(timeFormat)
	}
	for _, one := range p.Validators {
		v.Validators = append(v.Validators, validatorProgress{
			one.Name, one.Org, one.Power, one.State, one.Height, one.Prevoted, one.Precommitted, one.Proposer,
		})
	}
	return v
}

func (v *progressView) text(out io.Writer) {
	switch {
	case v.Obstacle != "":
		fmt.Fprintf(out, "No block %d: %s.\n", v.Height, v.Obstacle)
	case !v.Wanted:
		fmt.Fprintf(out, "There is nothing to put into block %d: the network is idle.\n", v.Height)
	default:
		fmt.Fprintf(out, "Block %d is being made; nothing keeps the network from it.\n", v.Height)
	}
	fmt.Fprintf(out, "%s is in round %d, %s, since %s; %d of %d voting power has voted.\n\n", v.Node, v.Round, orDash(v.Step), orDash(v.Since), v.VotedPower, v.TotalPower)
	fmt.Fprintln(out, "VALIDATOR\tORG\tPOWER\tSTATE\tHEIGHT\tPREVOTED\tPRECOMMITTED\tPROPOSER")
	for _, one := range v.Validators {
		fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%d\t%s\t%s\t%s\n", one.Name, one.Org, one.Power, one.State, one.Height,
			yesNo(one.Prevoted), yesNo(one.Precommitted), yesNo(one.Proposer))
	}
}
