package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what the toolchain wrote into the program.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

func readBuild() build {
	b := build{Version: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				b.Commit += "+changes"
			}
		}
	}
	return b
}

// version is what this program calls itself.
func version() string { return readBuild().Version }

func newVersionCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		Example: "  althing version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := readBuild()
			return s.show(globalsOf(cmd), b, func(out io.Writer) {
				fmt.Fprintf(out, "althing\t%s\ncommit\t%s\ngo\t%s\n", b.Version, b.Commit, b.Go)
			})
		},
	}
}
