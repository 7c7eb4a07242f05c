//go:build race

package importrules

// exportFlags make `go list -export` use what this test was compiled with, instead of compiling everything again.
var exportFlags = []string{"-race"}
