// Package governance owns the rules that the ledger itself carries, and how its members change them: the charter, which
// holds the limits that every node enforces alike; the feature level, which says which rules of execution are in force, and
// the upgrade that is planned; and proposals, which are lists of operations that wait for the members' votes.
//
// Invariants, held by every write:
//
//   - the charter in the state is complete (no zero stands for a default), in order, and valid;
//   - the charter and the plan change only where the members act, that is, where [exec.Env] names a proposal;
//   - proposals are numbered 1, 2, 3 … without a gap; one that has ended never changes again;
//   - an org has one vote on a proposal, the last it cast, and at most [MaxProposalsOfAnOrg] that are open;
//   - a proposal passes only when more than half of the active orgs, and more than its rule says, have voted yes, and it
//     always does when all of them have;
//   - the feature level never falls.
//
// [Propose] and [Vote] report that a proposal has passed; who called them applies its operations, through the same switch as
// all others, and calls [Close]. Handlers run on the consensus goroutine, each with a check of its own that needs no state
// and has passed before. [Defaults], [WithDefaults], [Merge], [Validate], [Limits], [Rule] and [ActionOf] are pure; a
// [Reader] belongs to whoever owns the state below it. Nobody else knows the layout of keys and values. DESIGN.md argues
// the rules.
package governance
