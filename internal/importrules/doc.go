// Package importrules holds the tests that keep the architecture as it is written down: which room may import which, who
// may touch a third party's code, and what the state machine may not use because it would make nodes disagree.
//
// It has no code of its own. arrows_test.go is the map of the rooms, with the reason beside each rule; determinism_test.go
// is the list of what is banned from the state machine, and lint_test.go the checker behind it. When a rule is in the way,
// the argument for changing it belongs into the top-level DESIGN.md, in the same commit.
package importrules
