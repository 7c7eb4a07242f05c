// Package p2p decides who may connect to this node and keeps the mesh as the
// membership list says it should be.
//
// A [Registry] is the list of members in memory: the ledger writes it after
// every block that changes it, and every connection attempt, inbound or
// outbound, reads it without a lock. A [Reconciler] makes the live connections
// equal to the list: it dials every listed member that is not connected, for
// ever, resolving names anew each time, and it closes connections of peers that
// are no longer listed.
//
// A [Door] stands between the handshake and the registry: it counts who was refused and
// says so without letting strangers fill the log.
//
// The package owns no sockets. It asks a [Mesh], which the consensus package
// implements over the engine's switch, to dial and to hang up.
//
// Invariants:
//
//   - The list is never empty. An empty list would mean either "admit nobody"
//     or "admit everybody", and both have locked networks out of themselves; an
//     attempt to install one is refused with [ErrNoMembers] and the old list stays.
//   - [Registry.Admitted] is a lock-free read of an immutable snapshot. The
//     filters that call it run inside connection handshakes.
//   - A member may have two ids while its node key changes. Both are admitted, the
//     present one is dialled, and ids are unique over both kinds.
//   - Everything that is remembered for people (who has gone and why, evictions, refusals) is
//     bounded.
//   - After [Registry.Set] returns, every reconciler that watches the registry has been
//     woken, and on its next pass hangs up on every peer that is not in the new list.
//
// DESIGN.md beside this file argues the dialling policy.
package p2p
