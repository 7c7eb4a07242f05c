package main

// One file per noun: what `althing asset …` does is in asset.go and asset_read.go. Beside them:
//
//	root.go       the tree of commands, the global flags, exit codes
//	errors.go     which error gives which exit code and hint
//	streams.go    input, outputs, and what a terminal changes
//	connect.go    from flags to a client
//	writing.go    what all commands that send a transaction have in common
//	result.go     how an outcome is printed
//	render.go     messages as JSON
//	words.go      operations and events as sentences
//	units.go      amounts with the decimals of their asset
//	ops.go        files of operations for `tx build`
//
// Commands say what to do and print what came of it; everything a program could want to do too is in package client.
