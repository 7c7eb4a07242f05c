// Package lineage keeps every change of the validators since the genesis, each signed by the validators before: the chain that
// leads from the genesis hash to whoever signs today, and that proves any header of the past.
//
// A [Follower] looks at each block when the next one has been committed, and writes a [proofv1.Link] for one whose header
// announces other validators. That is before anything of the block may be pruned; what it has written is never removed. So a
// node that forgets old blocks and old states still proves who signed them.
//
// The links stand in the local data, below keyspace.LocalLineage, by the height of their header. They are not part of the app
// hash and need not be: each is signed, and whoever reads them checks that.
package lineage
