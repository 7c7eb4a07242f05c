package main

// One file per noun: what `althing asset …` does is in asset.go and asset_read.go, `proposal` in proposal.go,
// proposal_draft.go (what its flags say) and proposal_read.go. Beside them:
//
//	root.go         the tree of commands, the global flags, exit codes
//	errors.go       which error gives which exit code and hint
//	streams.go      input, outputs, and what a terminal changes
//	connect.go      from flags to a client
//	writing.go      what all commands that send a transaction have in common
//	result.go       how an outcome is printed
//	render.go       messages as JSON
//	words.go        operations and events as sentences; words_membership.go those about members
//	charter_set.go  KEY=VALUE of --set-charter
//	rotate.go       keys of nodes and validators, made in a home and registered
//	why.go          what keeps the network from making blocks
//	units.go        amounts with the decimals of their asset
//	ops.go          files of operations for `tx build` and `proposal create`
//
// testdata/script runs against a ledger in the test's process, testdata/live against four processes.
//
// Commands say what to do and print what came of it; everything a program could want to do too is in package client.
