// Package membership owns the registry of nodes: which processes may join the mesh, which of them vote and with what
// power, where they are reached, how all that came about, and what validators were convicted of. The list is the network:
// nothing else admits a connection.
//
// Invariants, held by every write:
//
//   - a listed node belongs to a member, suspended or not; its name is never given twice, and removed nodes keep their entry;
//   - a key is registered once and for ever, be it a node's or a validator's, with a proof that its owner has it;
//   - in the set of validators after the next block, those and only those have a seat that are listed, of an active org and
//     have power: 1 to 100 of them, of at most 1024 nodes;
//   - those who stay connected after a block hold more than two thirds of the power of the sets that decide the next ones,
//     and whoever joins a set of three or more holds less than a third.
//
// The operations (AddNode, RemoveNode, SetAddresses, SetPower, RotateNodeKey, RotateValidatorKey), what follows an operation
// on an org (OrgAdmitted, OrgSuspended, OrgResumed, OrgRemoved, AllotmentSet) and [Convict] run on the consensus goroutine;
// Convict before the transactions of its block. What block H decides about votes acts at H+2, and [Updates] is what the engine
// is told of it at the end of H. [Load] makes the [Registry], which the mesh asks from any goroutine. DESIGN.md argues the
// rules, that of the quorum first of all.
package membership
