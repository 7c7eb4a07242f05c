// Package assets owns fungible assets: their definitions, who holds how much of them, what is set aside in holds, and how
// much of each exists.
//
// Invariants, held by every write and checked by [SumSupply]:
//
//   - the supply of an asset is the sum of the balances of all accounts and of the open holds;
//   - what a holding says is held is the sum of the open holds that its account gave;
//   - the supply never exceeds the cap, and no sum leaves 128 bits;
//   - a holding of nothing that is not frozen has no leaf.
//
// While a holding is frozen nothing leaves it. Deadlines are looked at when somebody touches a hold, never swept.
//
// The operations run on the consensus goroutine, each with a check of its own that needs no state and has passed before.
// Nobody else knows the layout of keys and values. DESIGN.md argues the rules.
package assets
