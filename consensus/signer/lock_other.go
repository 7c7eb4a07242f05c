//go:build !unix

package signer

import "os"

// canLock says whether lock keeps others out. Where there is no advisory locking, a node is kept single by its databases,
// which refuse to be opened twice; a signer process has none and does not run.
const canLock = false

func lock(*os.File) error { return nil }

func unlock(*os.File) error { return nil }
