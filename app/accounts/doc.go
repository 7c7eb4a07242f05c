// Package accounts owns the organisations of the ledger and the accounts that act for them: who is a member, active or
// suspended, and what it may decide for itself; which keys stand behind a name and what they weigh; which roles an account
// has; and whether a transaction carries enough signatures.
//
// Invariants, held by every write:
//
//   - an account belongs to an organisation that is or was a member; names of both are never given twice;
//   - an account has 1 to 16 different keys in ascending order, of weights 1 to 1000, that together reach its threshold, and
//     none of them signs read tokens too;
//   - an organisation counts its admins, and there is always at least one;
//   - the organisations are counted, and there is always an active one.
//
// The operations on accounts (Create, SetRoles, AddKey, RevokeKey, RotateKey, SetTokenKeys) are an admin's, the account's
// own, or the members' by a vote; those on organisations (AdmitOrg, SuspendOrg, ResumeOrg, RemoveOrg, SetAllotment) the
// members' alone. All run on the consensus goroutine, each with a check of its own that needs no state and has passed before.
// [Authorize] and everything else on a [Reader] may be called from any goroutine that owns the reader below it. Other modules
// ask a [Reader] who somebody is; nobody else knows the layout of the keys. DESIGN.md argues the rules.
package accounts
