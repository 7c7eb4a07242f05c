package app

import (
	"encoding/hex"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/membership"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	"github.com/althing-ledger/althing/state"
)

// Registry returns who may connect and vote, as of the newest block that changed it. It must not be modified.
func (a *App) Registry() *membership.Registry { return a.registry.Load() }

// stillSilenced leaves of the orgs that a block suspended or removed those that it did not let back in.
func (a *App) stillSilenced(orgs []string) (silenced []string, err error) {
	if len(orgs) == 0 {
		return nil, nil
	}
	view := a.store.Latest()
	defer view.Release()
	for _, org := range orgs {
		active, err := accounts.Read(view).IsActive(org)
		if err != nil {
			return nil, err
		}
		if !active {
			silenced = append(silenced, org)
		}
	}
	return silenced, nil
}

// validator is the name of the node that votes under an address, for the log.
func (a *App) validator(address []byte) string {
	view := a.store.Latest()
	defer view.Release()
	kv, err := a.newest(view)
	if err != nil {
		return hex.EncodeToString(address)
	}
	use, err := membership.Read(kv).KeyUse(address)
	if err != nil || use == nil {
		return hex.EncodeToString(address)
	}
	return use.Node
}

// Outdated returns [ErrNewerRules] when this program does not know the rules of the next block: the node has to stop.
func (a *App) Outdated() error { return a.rules.Load().known() }

// loadRegistry reads the registry from the newest state and tells of it.
func (a *App) loadRegistry(view *state.View) error {
	var (
		registry *membership.Registry
		err      error
	)
	if view.Height() > 0 {
		registry, err = membership.Load(view, view.Height(), view.BlockTime().UnixNano())
	} else {
		registry, err = a.genesis.registry()
	}
	if err != nil {
		return err
	}
	a.registry.Store(registry)
	a.membersChanged(registry)
	return nil
}

// refreshRegistry reads the registry again when the block, or the height and the time it brought, have changed it.
func (a *App) refreshRegistry(done *staged) error {
	if !done.members && !a.registry.Load().Stale(done.height, done.time) {
		return nil
	}
	view := a.store.Latest()
	defer view.Release()
	return a.loadRegistry(view)
}

// keepAtLeast puts the charter's floor under what this node keeps.
func (a *App) keepAtLeast(charter *governancev1.Charter) {
	a.store.KeepAtLeast(charter.KeepHeights, seconds(charter.KeepSeconds))
}
