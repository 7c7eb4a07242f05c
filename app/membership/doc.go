// Package membership owns the registry of nodes: which processes may join the mesh, which of them vote and with what
// power, and where they are reached. The list is the network: nothing else admits a connection.
//
// Invariants, held by every write:
//
//   - a node belongs to an organisation that exists; its name is unique;
//   - a key stands in the registry once, be it a node's or a validator's;
//   - a node votes if and only if it has a validator key and power;
//   - there are at most 1024 nodes, and 1 to 100 of them vote.
//
// The genesis writes the registry. [List] is what the mesh reconciles with after a commit; it may be called from any
// goroutine that owns the view.
package membership
