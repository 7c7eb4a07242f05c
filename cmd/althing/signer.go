package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/consensus/signer"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
)

func newSignerCommand(s *streams) *cobra.Command {
	return noun("signer", "Keep a validator's keys in a process of their own, or under a passphrase",
		newSignerInitCommand(s), newSignerRunCommand(s), newSignerShowCommand(s),
		newSignerNodeCommand(s, true), newSignerNodeCommand(s, false), newSignerProtectCommand(s))
}

// signerInfo is what is printed of a signer's directory. Nothing of it is secret.
type signerInfo struct {
	Home         string   `json:"home"`
	ChainID      string   `json:"chain_id"`
	Identity     string   `json:"identity"`
	ValidatorKey string   `json:"validator_key"`
	NextKey      string   `json:"next_validator_key,omitempty"`
	NodeKeys     []string `json:"node_keys"`
}

func (i signerInfo) print(w io.Writer) {
	fmt.Fprintf(w, "network\t%s\n", i.ChainID)
	fmt.Fprintf(w, "identity\t%s\n", i.Identity)
	fmt.Fprintf(w, "validator key\t%s\n", i.ValidatorKey)
	if i.NextKey != "" {
		fmt.Fprintf(w, "next validator key\t%s\n", i.NextKey)
	}
	for _, node := range i.NodeKeys {
		fmt.Fprintf(w, "signs for\t%s\n", node)
	}
}

func (s *streams) showSigner(g globals, dir string, passphrase []byte) error {
	id, err := signer.ReadIdentity(dir, passphrase)
	if err != nil {
		return signerError(err)
	}
	info := signerInfo{
		Home: dir, ChainID: id.ChainID, Identity: hex.EncodeToString(id.PublicKey), ValidatorKey: hex.EncodeToString(id.Validator),
		NextKey: hex.EncodeToString(id.Next), NodeKeys: []string{},
	}
	for _, node := range id.Nodes {
		info.NodeKeys = append(info.NodeKeys, hex.EncodeToString(node))
	}
	return s.show(g, info, info.print)
}

// passphraseFlag is where the passphrase is. It is never an argument itself: others on the machine see those.
func passphraseFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "passphrase-file", "", "`FILE` with the passphrase of the keys, mode 0600 (default $"+home.PassphraseVariable+")")
}

// passphrase reads it, nil if there is none.
func (s *streams) passphrase(path string) ([]byte, error) {
	if path == "" {
		path = s.getenv(home.PassphraseVariable)
	}
	if path == "" {
		return nil, nil
	}
	passphrase, err := keys.ReadPassphrase(path)
	var ofPath *fs.PathError
	if errors.As(err, &ofPath) {
		return nil, badPath(path, err)
	}
	if err != nil {
		return nil, usageError(err)
	}
	return passphrase, nil
}

// signerError marks what the owner of a signer's directory has to set right.
func signerError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keys.ErrPassphrase):
		return hint(usageError(err), "name the file with the passphrase: --passphrase-file FILE or %s", home.PassphraseVariable)
	case errors.Is(err, signer.ErrConfig):
		return hint(usageError(err), "`althing signer init` makes a signer's directory")
	case errors.Is(err, signer.ErrNoLock):
		return hint(usageError(err), "move the directory to a machine that has file locks, and destroy it here")
	case errors.Is(err, signer.ErrRecordInUse):
		return hint(usageError(err), "the signer runs already; stop it first")
	case errors.Is(err, signer.ErrNoRecord), errors.Is(err, signer.ErrRecordForeign), errors.Is(err, signer.ErrRecordCorrupt):
		return hint(usageError(err), "put signer.state back from this signer's own disk; without it the validator might sign twice")
	}
	return err
}

func newSignerInitCommand(s *streams) *cobra.Command {
	var dir, chainID, passphraseFile string
	var nodeKeys []string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the directory of a signer: its identity, a validator key, and the record of what it signs",
		Long: `Make the directory of a signer process, which holds a validator's key in the place of its node and signs for the given
nodes on one network only. It prints the identity, which the node's althing.toml gets as [signer] public_key, and the
validator key, which the ledger has to list for the node. A directory that exists is never overwritten.`,
		Example: `  althing signer init --home signer --chain-id consortium-1a2b3c4d --node-key 5f0c…`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings := signer.Settings{ChainID: chainID}
			for _, text := range nodeKeys {
				key, err := parseNodeKey(text)
				if err != nil {
					return err
				}
				settings.Nodes = append(settings.Nodes, key)
			}
			passphrase, err := s.passphrase(passphraseFile)
			if err != nil {
				return err
			}
			err = home.BuildDir(dir, func(temporary string) error { return signer.Fill(temporary, settings, passphrase) })
			switch {
			case errors.Is(err, home.ErrExists):
				return hint(usageError(err), "choose another --home: a signer that may have signed is never begun anew")
			case errors.Is(err, signer.ErrConfig):
				return usageError(err)
			case err != nil:
				return badPath(dir, err)
			}
			return s.showSigner(globalsOf(cmd), dir, passphrase)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "home", "", "`DIR` of the signer, which must not exist")
	flags.StringVar(&chainID, "chain-id", "", "`ID` of the network, as `althing status` shows it")
	flags.StringArrayVar(&nodeKeys, "node-key", nil, "node key of the node that may ask, in `HEX`; may be repeated")
	passphraseFlag(cmd, &passphraseFile)
	require(cmd, "home", "chain-id")
	return cmd
}

func parseNodeKey(text string) ([]byte, error) {
	key, err := hex.DecodeString(text)
	if err == nil {
		_, err = keys.ParsePublicKey(keys.SchemeEd25519, key)
	}
	if err != nil {
		return nil, hint(usagef("%.80q is not a node key: %w", text, err), "it has 64 hex digits; `althing node list` and node_key.json show it")
	}
	return key, nil
}

func newSignerRunCommand(s *streams) *cobra.Command {
	var dir, listen, passphraseFile string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a signer until it is told to stop",
		Long: `Sign for the nodes that the directory lists, in the foreground, until SIGINT or SIGTERM. The log goes to standard error.
Only these nodes get past the handshake; still, the address should be on a network that nobody else uses. The exit code is 0
when it was told to stop, 2 when the directory must be set right first, and 1 when the record could not be written: start it
again once the disk works.`,
		Example: `  althing signer run --home signer --listen 10.0.0.5:26670`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			passphrase, err := s.passphrase(passphraseFile)
			if err != nil {
				return err
			}
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				return hint(usageError(err), "--listen takes HOST:PORT of an address of this machine that nobody uses")
			}
			server, err := signer.NewServer(signer.ServerConfig{
				Dir: dir, Passphrase: passphrase, Listener: listener, Logger: slog.New(slog.NewTextHandler(s.err, nil)),
			})
			if err != nil {
				return errors.Join(signerError(err), listener.Close())
			}
			return server.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "home", "", "`DIR` of the signer")
	flags.StringVar(&listen, "listen", "", "where nodes connect, `HOST:PORT`")
	passphraseFlag(cmd, &passphraseFile)
	require(cmd, "home", "listen")
	return cmd
}

func newSignerShowCommand(s *streams) *cobra.Command {
	var dir, passphraseFile string
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show the public keys of a signer's directory and whom it signs for",
		Example: `  althing signer show --home signer`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			passphrase, err := s.passphrase(passphraseFile)
			if err != nil {
				return err
			}
			return s.showSigner(globalsOf(cmd), dir, passphrase)
		},
	}
	cmd.Flags().StringVar(&dir, "home", "", "`DIR` of the signer")
	passphraseFlag(cmd, &passphraseFile)
	require(cmd, "home")
	return cmd
}

func newSignerNodeCommand(s *streams, admit bool) *cobra.Command {
	use, short := "allow", "Let a signer sign for a further node key"
	if !admit {
		use, short = "forbid", "Keep a signer from signing for a node key"
	}
	var dir string
	cmd := &cobra.Command{
		Use:   use + " NODE-KEY",
		Short: short,
		Long: short + `. A signer that runs heeds it with the next request. A node whose node key is
rotated needs its new key allowed before it restarts, and its old one forbidden afterwards.`,
		Example: `  althing signer ` + use + ` 5f0c… --home signer`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := parseNodeKey(args[0])
			if err != nil {
				return err
			}
			settings, err := signer.SetNode(dir, key, admit)
			if err != nil {
				return signerError(err)
			}
			nodes := []string{}
			for _, node := range settings.Nodes {
				nodes = append(nodes, hex.EncodeToString(node))
			}
			return s.show(globalsOf(cmd), object{{"node_keys", nodes}}, func(w io.Writer) {
				for _, node := range nodes {
					fmt.Fprintf(w, "signs for\t%s\n", node)
				}
			})
		},
	}
	cmd.Flags().StringVar(&dir, "home", "", "`DIR` of the signer")
	require(cmd, "home")
	return cmd
}

func newSignerProtectCommand(s *streams) *cobra.Command {
	var dir, passphraseFile, newFile string
	var plain bool
	cmd := &cobra.Command{
		Use:   "protect",
		Short: "Encrypt the keys of a stopped node or signer with a passphrase",
		Long: `Write the key files of a stopped node or signer anew, encrypted with the passphrase in a file, and destroy what was there.
With --plain they are written in plain text. After an interruption, the same command finishes it. From then on the node finds the passphrase through ` + home.PassphraseVariable + `
or [signer] passphrase_file in its althing.toml, the signer through --passphrase-file.`,
		Example: `  althing signer protect --home nodes/acme-1 --new-passphrase-file /run/secrets/althing`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if plain == (newFile != "") {
				return usagef("what shall become of the keys? --new-passphrase-file FILE or --plain, one of both")
			}
			was, err := s.passphrase(passphraseFile)
			if err != nil {
				return err
			}
			var passphrase []byte
			if !plain {
				if passphrase, err = s.passphrase(newFile); err != nil {
					return err
				}
			}
			if err := protect(dir, was, passphrase); err != nil {
				return err
			}
			return s.show(globalsOf(cmd), object{{"home", dir}, {"encrypted", !plain}}, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s\n", dir, map[bool]string{true: "the keys are in plain text", false: "the keys are encrypted"}[plain])
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "home", "", "`DIR` of the node or signer, which must not run")
	flags.StringVar(&newFile, "new-passphrase-file", "", "`FILE` with the passphrase to encrypt with, mode 0600")
	flags.BoolVar(&plain, "plain", false, "write the keys in plain text")
	passphraseFlag(cmd, &passphraseFile)
	require(cmd, "home")
	return cmd
}

// protect does it for either kind of directory. A node's configuration may say where its passphrase is.
func protect(dir string, was, passphrase []byte) (err error) {
	if _, err := os.Stat(filepath.Join(dir, "althing.toml")); err != nil {
		return signerError(signer.Protect(dir, was, passphrase))
	}
	h, err := home.LoadToProtect(dir, bytes.Clone(was), bytes.Clone(passphrase))
	if err != nil {
		return startError(err)
	}
	lock, err := h.Lock()
	if err != nil {
		return startError(err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return h.Protect(passphrase)
}
