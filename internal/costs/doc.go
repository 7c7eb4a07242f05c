// Package costs holds the tests that keep a transaction as cheap as it is: budgets of instructions and of allocations for a fixed
// workload, each way that the node goes with a transfer. Nothing is timed, so a busy machine comes to the same figures as an
// idle one.
//
// It has no code of its own. budgets_test.go is the table of budgets, workloads_test.go what is run, steps_test.go counts. They
// are for Linux on amd64, without the race detector, and need leave to trace a process of their own. DESIGN.md says how it is
// counted and what to do when a budget is exceeded.
package costs
