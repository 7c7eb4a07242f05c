// Package exectest helps tests of the modules of the state machine: a small world of organisations and accounts in
// memory, in which every transaction is one operation and one block, and a text for whatever came of it. Transcripts are
// made of those texts.
//
// A [World] belongs to one goroutine.
package exectest
