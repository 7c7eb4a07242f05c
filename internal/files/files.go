// Package files writes files that others may read at any time.
package files

import (
	"os"
	"path/filepath"
)

// Temporary makes an empty file beside the one that it is to replace, for its owner alone. Who calls it closes and removes it.
func Temporary(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
}

// Replace writes a file under a temporary name, syncs it and renames it into its place: it appears whole or not at all.
func Replace(path string, content []byte, mode os.FileMode) (err error) {
	f, err := Temporary(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
