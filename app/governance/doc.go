// Package governance owns the rules that the ledger itself carries: the charter, which holds the limits that every node
// enforces alike, and the feature level, which says which rules of execution are in force.
//
// Both are leaves of the state, written by the genesis. A charter in the state is complete (no zero stands for a default)
// and valid. [Defaults], [WithDefaults], [Validate] and [Limits] are pure; a [Reader] belongs to whoever owns the state
// below it.
package governance
