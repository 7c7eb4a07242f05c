// Package signer holds the keys that a validator votes with, and the guard that keeps them from ever signing two different
// messages for one height, round and step.
//
//   - [Keyring] is keys and the guard: one record on the disk spans all keys of a validator.
//   - [KeyFiles] are the files of a key that changes: the present one, the one prepared to follow it, and how one replaces the
//     other so that every interruption leaves a key.
//   - [Local] is a ring whose keys lie in such files; [Remote] asks a process of its own, which runs a [Server].
//   - [Rotator] wraps either of them with the policy of rotation: load the key that the ledger lists, destroy the one before.
//
// Invariants:
//
//   - No signature leaves before the record of it is on the disk. After a write that failed nothing is signed until the record
//     is opened anew.
//   - Height, round, step and network are read from the bytes that are signed, by whoever holds the keys; what is not a vote or
//     proposal of the one network, byte for byte as CometBFT writes it, is not signed.
//   - Whichever key is asked, the ring never goes back, and where one key has signed no other one does.
//   - A record is opened only with a key that it belongs to, on the network it is of, by one process.
//   - A key is in its place or prepared, whole, wherever a change of keys is interrupted.
//   - A signer process answers nodes that its settings list, over TLS 1.3 with both keys pinned, and nobody else.
//
// The engine calls Sign and PublicKeys; the node calls [Rotator.Rotate] with every commit and runs [Rotator.Run]; commands
// prepare keys, make the directory of a signer process ([Fill]) and run it. Everything may be called from any goroutine, except
// where a comment names one.
//
// It needs neither a node nor a home: a signer process is small. DESIGN.md beside this file argues the choices.
package signer
