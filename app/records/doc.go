// Package records owns versioned documents: collections, who may write to them, and every version of every record.
//
// Invariants, held by every write:
//
//   - the versions of a record are 1, 2, 3 … without a gap; a version is never changed or removed;
//   - the head of a record is the number of its newest version;
//   - the policy of a collection names 1 to 64 different pairs of an org that exists and a role, in ascending order, and
//     those of at least two orgs where it demands a cosigner.
//
// The operations (SetCollection, Put) run on the consensus goroutine, each with a check of its own that needs no state and
// has passed before. Nobody else knows the layout of keys and values. DESIGN.md argues the rules.
package records
