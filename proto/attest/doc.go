// Package attest writes and reads attestations: what one node says became of a transaction, as a COSE_Sign1 message (RFC 9052)
// that it signs with its node key. It is for software that knows COSE and no ledger. What needs nobody's word is a receipt.
//
// A message has exactly one encoding: tagged, deterministic CBOR (RFC 8949, 4.2.1), all headers protected. [Check] makes the
// message anew from what it has read and compares, so that no byte of it is free.
//
// proto/DESIGN.md specifies the message for other languages.
package attest
