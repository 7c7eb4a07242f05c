// Package token makes and checks the tokens with which accounts read a ledger whose reads are closed: JSON Web Tokens
// (RFC 7519) in compact form, signed with ES256K (RFC 8812) or EdDSA over Ed25519 (RFC 8037) by a token key that the ledger
// lists for the account.
//
// A token says who reads (`sub`, an account such as `acme/alice`), which network it is for (`aud`, the chain id, and
// nothing else), when it was made (`iat`) and when it ends (`exp`); `nbf` and `jti` may stand in it. [Sign] makes one,
// [Parse] reads the bytes, [Token.Check] compares the claims with the network and the clock, and [Token.Verify] checks the
// signature under one key. Whether the ledger lists that key, and what its account may read, is for the caller to ask.
//
// Nothing here is remembered or shared: every function is a function of its arguments and safe for concurrent use. The
// server's edge checks with this package, the client signs with it. It imports keys and names.
//
// DESIGN.md, beside this file, argues the choices.
package token
