// Package keys owns what the ledger knows about cryptographic keys: their encodings, signing, verifying one signature
// or many, tagged hashes, and the files that keys live in. It imports nothing else of the project, and everything else
// may import it.
//
// There are three schemes ([Scheme]): BIP-340 Schnorr and ECDSA over secp256k1, and Ed25519. All of them sign a digest
// of 32 bytes with a signature of 64 bytes and a private key of 32 bytes.
//
// # Invariants
//
//   - A key has one encoding. [ParsePublicKey] refuses every other, so equal keys are equal bytes.
//   - A verdict is a function of key, digest and signature. [PublicKey.Verify] and [Batch.Verify] give the same one, error
//     included, on every input, valid or not, on every machine, whether or not the key has a table; nothing is drawn at random.
//   - A signature has one encoding that is accepted: components are in range, and ECDSA's s is low.
//   - No error, no format verb, no logger and no encoder shows a private key. [PrivateKey.Bytes] and [SaveFile] do;
//     [SaveEncryptedFile] writes it so that only a passphrase opens it.
//
// # Who calls it
//
// The mempool's workers verify every transaction with a [Batch] each; the state machine verifies what the node has
// not seen yet; clients and the command line sign and read key files; consensus takes its node and validator keys from
// [LoadFile]. Keys are immutable and safe for concurrent use. A Batch belongs to one goroutine.
//
// DESIGN.md, beside this file, argues the choices.
package keys
