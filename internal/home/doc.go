// Package home is the directory of one node: what lies where, its configuration file, how it is made and how it is
// locked.
//
//	althing.toml         configuration, see [Config]
//	genesis.json         the document the network started from; made last, so that a home that has it has everything
//	members.json         the nodes of the ticket that it was joined with, see [Members]
//	ORG-NODE.member.json what others need of the node, see [Member]
//	node_key.json        Ed25519 key of the node's connections; node_key.next.json, the one prepared to follow it
//	validator_key.json   Ed25519 key of its votes; validator_key.next.json, the one prepared to follow it, and
//	                     validator_key.first.json, a first one whose making was interrupted. Observers have none, and
//	                     neither have nodes whose keys are with a signer process
//	signer.state         what the validator signed last; made together with the key, or just before it has its name
//	data/                the state; it belongs to the store alone
//	consensus/           the write-ahead log of consensus
//	tls.crt, tls.key     the certificate of the gRPC server, where it needs one
//	node.log             where who started the node may send its output
//	node.pid             the running process; locked by it
//
// Invariants:
//
//   - A home is complete or does not exist: [Init] builds it under another name and renames it. One that does not know its
//     network yet ([Prepare]) has all but a genesis document, and [Load] refuses it until [Complete] has put it in.
//   - A validator key and its signer record are made together. Nothing here ever makes a record for a key that may
//     have signed, because a validator that forgets what it signed may sign twice. A home that names a signer process has
//     neither, because two that sign for one validator may sign twice.
//   - A key that is prepared to follow another one can be there at any time, and takes its place in one step.
//   - Nothing that is secret is readable by others, and [Load] refuses a home where it is.
//   - One process runs a home: it holds the [Lock] until it ends, however it ends.
//   - A configuration that has a key this program does not know is refused; all its problems are told at once.
//
// The boot of a node and the commands that look at a stopped one call [Load] and [Home.Lock]; testnet calls [Init]
// and [Running]. All functions may be called from any goroutine; a [Home] is not modified after Load.
//
// DESIGN.md beside this file argues the choices.
package home
