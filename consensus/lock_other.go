//go:build !unix

package consensus

import "os"

// lock does nothing where there is no advisory locking; opening the databases twice
// fails there.
func lock(*os.File) error { return nil }
