// Package explorer shows a network to people: a web page, embedded in the program, and the little API that it calls.
//
// It is a client like any other. What the page shows it has asked through a [client.Client], which checks the proofs of the
// answers; a value is marked as verified when its answer came with a proof, and then the proof held. What only a node's
// word vouches for, such as who is connected to whom, is marked as that.
//
// The page needs nothing from elsewhere: no script, font or picture of another host, and its content security policy allows
// none.
package explorer
