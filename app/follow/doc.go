// Package follow hands committed blocks, one after the other and each once, to whoever keeps something beside consensus: the
// lineage of the validators, an index of the history.
//
// A [Follower] is told a height and answers with writes of local data. They are written together with the follower's cursor,
// in one batch, so that after a crash it goes on where its data ends. Nothing of it is part of the app hash, and consensus
// never waits for it.
//
// Invariants:
//
//   - A follower sees every height from its first one on, in ascending order, none twice unless the process died in between.
//   - A cursor and the data it speaks for are written by one batch. The database has one log, so that a cursor is never on
//     disk without the blocks it has passed.
//   - Whoever drops old blocks asks [Retention.Lowest] first: what a follower has not seen yet stays.
//   - What waits to be written is bounded by [batchHeights] and [batchBytes], and by what one block leads to.
//
// Goroutines: [Followed.Run] belongs to one; everything else may be called from anywhere at any time.
package follow
