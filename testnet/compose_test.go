package testnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/internal/home"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestComposeFile(t *testing.T) {
	t.Parallel()
	c := composition{ChainID: "local-0123abcd", Image: "althing-testnet:0123456789ab", UID: 1000, GID: 1001}
	c.Services = []service{
		{Name: "acme-1", GRPC: "127.0.0.1:20001", Metrics: "127.0.0.1:20002"},
		{Name: "globex-1", GRPC: "127.0.0.1:20003", Metrics: "127.0.0.1:20004"},
	}
	got, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", composeFile)
	if *rewrite {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the compose file is not that of %s; run with -rewrite and look at the difference:\n%s", golden, got)
	}
	for _, s := range c.Services {
		if at := publishedMetrics(got)[s.Name]; at != s.Metrics {
			t.Errorf("the metrics of %s are found at %q, want %q", s.Name, at, s.Metrics)
		}
	}
}

// program returns the smallest ELF file with one segment of the given type.
func program(segment uint32) []byte {
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, 9))
	for _, field := range []any{
		uint16(2), uint16(62), uint32(1), uint64(0), uint64(64), uint64(0), uint32(0), // type, machine, version, entry, phoff, shoff, flags
		uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0), // sizes and numbers of headers
		segment, uint32(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0),
	} {
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	return b.Bytes()
}

func TestOnlyStaticBinariesMakeImages(t *testing.T) {
	t.Parallel()
	const load, interpreter = 1, 3
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"static":  {program(load), ""},
		"dynamic": {program(interpreter), "is linked dynamically"},
		"script":  {[]byte("#!/bin/sh\n"), "is no program for Linux"},
		"empty":   {nil, "is no program for Linux"},
	} {
		path := filepath.Join(t.TempDir(), "althing")
		if err := os.WriteFile(path, c.content, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := readBinary(path)
		if c.says == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.says != "" && (!errors.Is(err, ErrImage) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want ErrImage: %q", name, err, c.says)
		}
	}
}

func TestComposeMakesTheWholeDirectory(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "althing")
	if err := os.WriteFile(binary, program(1), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "net")
	n, err := Compose(dir, ComposeOptions{Options: Options{Validators: 2}, Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	if !n.Containers() {
		t.Error("not known as a network of containers")
	}
	file, err := os.ReadFile(n.ComposeFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range n.File.Nodes {
		h, err := home.Load(node.Home)
		if err != nil {
			t.Fatal(err)
		}
		if h.Config.GRPC.NeedsTLS() || h.Config.GRPC.Listen != "0.0.0.0:9090" {
			t.Errorf("%s serves %s, TLS %v", node.Name, h.Config.GRPC.Listen, h.Config.GRPC.NeedsTLS())
		}
		if !strings.HasPrefix(node.GRPC, "127.0.0.1:") || !strings.Contains(string(file), `"`+node.GRPC+`:9090"`) {
			t.Errorf("%s is found at %s, which the compose file does not publish", node.Name, node.GRPC)
		}
		genesis, err := app.ParseGenesis(h.Genesis)
		if err != nil || genesis.Doc.Nodes[0].Node.Addresses[0] != "acme-1:26656" {
			t.Errorf("%s: genesis with %v, %v", node.Name, genesis.Doc.GetNodes(), err)
		}
	}
	checkOwner(t, filepath.Join(dir, nodesDir))
	if copied, err := os.ReadFile(filepath.Join(dir, imageDir, "althing")); err != nil || !bytes.Equal(copied, program(1)) {
		t.Errorf("the image gets %d bytes, %v", len(copied), err)
	}
	for what, err := range map[string]error{
		"up":   n.Up(t.Context()),
		"kill": n.Kill(t.Context(), "acme-1"),
		"logs": n.Logs(t.Context(), os.Stderr, LogOptions{}),
	} {
		if !errors.Is(err, ErrContainers) || !strings.Contains(err.Error(), n.ComposeFile()) {
			t.Errorf("%s: %v, want ErrContainers and the compose file", what, err)
		}
	}
}

// checkOwner expects the homes to belong to the user of the containers, who is never root.
func checkOwner(t *testing.T, dir string) {
	t.Helper()
	want := os.Getuid()
	if want == 0 {
		want = unprivileged
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != want {
			t.Errorf("%s belongs to %+v, want user %d", path, info.Sys(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestComposeRefusesBeforeItMakes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Compose(dir, ComposeOptions{Binary: script}); !errors.Is(err, ErrImage) {
		t.Errorf("%v, want ErrImage", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was made all the same")
	}
}
