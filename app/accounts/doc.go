// Package accounts owns the organisations of the ledger and the accounts that act for them: who exists, which keys stand
// behind a name and what they weigh, which roles an account has, and whether a transaction carries enough signatures.
//
// Invariants, held by every write:
//
//   - an account belongs to an organisation that exists, and its name is never given twice;
//   - an account has 1 to 16 different keys in ascending order, of weights 1 to 1000, that together reach its threshold;
//   - an organisation counts its admins, and there is always at least one.
//
// The operations (Create, SetRoles, AddKey, RevokeKey, RotateKey) run on the consensus goroutine, each with a check of its
// own that needs no state and has passed before. [Authorize] and everything else on a [Reader] may be called from any
// goroutine that owns the reader below it. Other modules ask a [Reader] who somebody is; nobody else knows the layout of
// the keys. DESIGN.md argues the rules.
package accounts
