// Package home is the directory of one node: what lies where, its configuration file, how it is made and how it is
// locked.
//
//	althing.toml         configuration, see [Config]
//	genesis.json         the document the network started from
//	node_key.json        Ed25519 key of the node's connections
//	validator_key.json   Ed25519 key of its votes; observers have none
//	signer.state         what the validator signed last; made together with the key, never without it
//	data/                the state; it belongs to the store alone
//	consensus/           the write-ahead log of consensus
//	tls.crt, tls.key     the certificate of the gRPC server, where it needs one
//	node.log             where who started the node may send its output
//	node.pid             the running process; locked by it
//
// Invariants:
//
//   - A home is complete or does not exist: [Init] builds it under another name and renames it.
//   - A validator key and its signer record are made together. Nothing here ever makes a record for a key that
//     exists, because a validator that forgets what it signed may sign twice.
//   - Nothing that is secret is readable by others, and [Load] refuses a home where it is.
//   - One process runs a home: it holds the [Lock] until it ends, however it ends.
//   - A configuration that has a key this program does not know is refused; all its problems are told at once.
//
// The boot of a node and the commands that look at a stopped one call [Load] and [Home.Lock]; testnet calls [Init]
// and [Running]. All functions may be called from any goroutine; a [Home] is not modified after Load.
//
// DESIGN.md beside this file argues the choices.
package home
