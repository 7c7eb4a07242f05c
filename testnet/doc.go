// Package testnet makes and runs local networks: on one machine, one node per organisation, as processes or as
// containers.
//
//	DIR/network.json           how clients find the network; see the client package
//	DIR/genesis.json           what it started from
//	DIR/keys/ORG/ACCOUNT.json  keys of the accounts ORG/admin and ORG/treasury
//	DIR/nodes/NAME             the home of a node; see internal/home
//	DIR/testnet.lock           held while a command starts or stops nodes
//	DIR/docker-compose.yaml    only where the nodes run in containers, with image/ beside it
//
// [New] makes such a directory and [Open] finds one again; [Network.Up] starts what is in it; [Network.AddNode] makes one more
// home, which the ledger learns of by a vote. Nothing runs in this process:
// nodes are processes of their own that survive it, and whoever opens the directory later can stop them.
//
// Invariants:
//
//   - A directory is complete or does not exist.
//   - Ports and keys are chosen once; a network that is started again is the same network.
//   - A process is signalled only while it holds the lock of its home, so never one that came to its number later.
//   - When starting fails, what was started is stopped again, and the error shows what the failing node said.
//   - Who must be connected, and how much voting power it takes, is what the ledger says, as far as a running node tells;
//     otherwise what the genesis document says.
//   - Every wait is bounded, by the [Network]'s timeouts and by the context.
//
// The command line calls it, and so do end-to-end tests. A Network may be used from several goroutines. DESIGN.md
// beside this file argues the choices.
package testnet
