package signer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	signerv1 "github.com/althing-ledger/althing/proto/gen/althing/signer/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// process is a signer in this process that is reached as one of its own would be.
type process struct {
	t       *testing.T
	dir     string
	address string
	id      Identity
	nodeKey ed25519.PrivateKey
	cancel  context.CancelFunc
	result  chan error
	server  *Server
}

func newProcess(t *testing.T) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir(), address: "127.0.0.1:0", nodeKey: key("node")}
	if err := Fill(p.dir, Settings{ChainID: testChain, Nodes: [][]byte{publicOf("node")}}, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.id, err = ReadIdentity(p.dir, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cancel != nil {
			p.stop()
		}
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.address = listener.Addr().String()
	if p.server, err = NewServer(ServerConfig{Dir: p.dir, Listener: listener}); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.result = cancel, make(chan error, 1)
	server, result := p.server, p.result
	go func() { result <- server.Run(ctx) }()
}

func (p *process) stop() {
	p.t.Helper()
	p.cancel()
	p.cancel = nil
	if err := <-p.result; err != nil {
		p.t.Errorf("signer: Run: %v", err)
	}
}

func (p *process) connect(address string, identity []byte, nodeKey ed25519.PrivateKey) *Remote {
	p.t.Helper()
	r, err := NewRemote(RemoteConfig{Address: address, PublicKey: identity, Key: nodeKey})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = r.Close() })
	return r
}

func (p *process) remote() *Remote {
	p.t.Helper()
	return p.connect(p.address, p.id.PublicKey, p.nodeKey)
}

// answered tries until the process answers, with whatever.
func answered(t *testing.T, r *Remote, public, message []byte) ([]byte, time.Time, error) {
	t.Helper()
	var signature []byte
	var at time.Time
	var err error
	eventually(t, "the signer answers", func() bool {
		signature, at, err = r.Sign(public, message)
		return !errors.Is(err, ErrUnreachable)
	})
	return signature, at, err
}

func TestRemoteSignsLikeTheRing(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start()
	r := p.remote()
	public := p.id.Validator
	first, at, err := answered(t, r, public, vote(5, 1, prevote, "x"))
	if err != nil || !at.IsZero() || !ed25519.Verify(public, vote(5, 1, prevote, "x"), first) {
		t.Fatalf("%v, %v", at, err)
	}
	// A repeated request gets the same signature, and at another time the earlier time.
	if again, at, err := r.Sign(public, vote(5, 1, prevote, "x")); err != nil || !bytes.Equal(again, first) || !at.IsZero() {
		t.Errorf("repeated: %v, %v", at, err)
	}
	if again, at, err := r.Sign(public, voteAt(testTime.Add(time.Second), 5, 1, prevote, "x")); err != nil || !bytes.Equal(again, first) || !at.Equal(testTime) {
		t.Errorf("later: %v, %v", at, err)
	}
	for name, c := range map[string]struct {
		key, message []byte
		want         error
	}{
		"another block":  {public, vote(5, 1, prevote, "y"), ErrConflict},
		"below":          {public, vote(4, 0, prevote, "x"), ErrRegression},
		"another key":    {publicOf("a"), vote(6, 0, prevote, "x"), ErrUnknownKey},
		"no message":     {public, []byte("hello"), ErrMessage},
		"other network":  {public, bytes.Replace(vote(6, 0, prevote, "x"), []byte(testChain), []byte("test-87654321"), 1), ErrMessage},
		"an empty key":   {nil, vote(6, 0, prevote, "x"), ErrUnknownKey},
		"4,000 bytes":    {public, make([]byte, 4000), ErrMessage},
		"10,000 bytes":   {public, make([]byte, 10_000), ErrUnreachable}, // not even read
		"the node's key": {publicOf("node"), vote(6, 0, prevote, "x"), ErrUnknownKey},
	} {
		if signature, _, err := r.Sign(c.key, c.message); !errors.Is(err, c.want) || signature != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, proof, err := r.Present(t.Context(), "acme-1", "acme"); err != nil || tx.CheckPossession(public, proof, tx.UseValidator, "acme-1", "acme") != nil {
		t.Errorf("Present: %x, %v", proof, err)
	}
	for _, c := range []struct{ node, org string }{{"", ""}, {"Acme", "acme"}, {"acme-1", "a b"}} {
		if _, _, err := r.Prepare(t.Context(), c.node, c.org); !errors.Is(err, ErrMessage) {
			t.Errorf("Prepare for %q of %q: %v", c.node, c.org, err)
		}
	}
	if _, err := r.client.KeepKey(t.Context(), &signerv1.KeepKeyRequest{PublicKey: public, FromHeight: 1 << 63}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("KeepKey from 2^63: %v", err)
	}
}

func TestStrangersAreCutInTheHandshake(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start()
	message := vote(5, 0, prevote, "x")
	// A node that the signer does not list, and one that expects another signer.
	for name, r := range map[string]*Remote{
		"unlisted node": p.connect(p.address, p.id.PublicKey, key("stranger")),
		"other signer":  p.connect(p.address, publicOf("stranger"), p.nodeKey),
	} {
		for range 3 {
			if _, _, err := r.Sign(p.id.Validator, message); !errors.Is(err, ErrUnreachable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := r.refresh(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p.server.keys.LastSigned() != 0 {
		t.Fatal("something was signed")
	}
	// Without TLS, and with garbage, the connection is closed and the process lives.
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("x", 5000))); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := bufio.NewReader(conn).ReadString(0); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
	if _, _, err := answered(t, p.remote(), p.id.Validator, message); err != nil {
		t.Error(err)
	}
}

func TestANodeIsLetInAndKeptOutWhileTheSignerRuns(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start()
	r := p.remote()
	if _, _, err := answered(t, r, p.id.Validator, vote(5, 0, prevote, "x")); err != nil {
		t.Fatal(err)
	}
	if _, err := SetNode(p.dir, publicOf("node"), false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Sign(p.id.Validator, vote(6, 0, prevote, "x")); !errors.Is(err, ErrUnreachable) {
		t.Errorf("over its old connection: %v", err)
	}
	if _, err := SetNode(p.dir, publicOf("new node"), true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := answered(t, p.connect(p.address, p.id.PublicKey, key("new node")), p.id.Validator, vote(6, 0, prevote, "x")); err != nil {
		t.Error(err)
	}
	if _, err := SetNode(p.dir, []byte("short"), true); !errors.Is(err, ErrConfig) {
		t.Errorf("half a key: %v", err)
	}
}

func TestRemoteKnowsItsKeysBeforeAndAfterTheProcess(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start()
	p.stop()
	r := p.remote()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	if len(r.PublicKeys()) != 0 {
		t.Error("it knows a key that nobody told it")
	}
	if err := r.Expect(p.id.Validator); err != nil {
		t.Fatal(err)
	}
	if got := r.PublicKeys(); len(got) != 1 || !bytes.Equal(got[0], p.id.Validator) {
		t.Errorf("while the process is down: %x", got)
	}
	if _, _, err := r.Sign(p.id.Validator, vote(5, 0, prevote, "x")); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Sign: %v", err)
	}
	p.start()
	if _, _, err := answered(t, r, p.id.Validator, vote(5, 0, prevote, "x")); err != nil {
		t.Error(err)
	}
	// What the process denies does not count.
	if err := r.Expect(publicOf("other")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process denies the key", func() bool { return errors.Is(r.Expect(publicOf("other")), ErrUnknownKey) })
	if got := r.PublicKeys(); len(got) != 1 || !bytes.Equal(got[0], p.id.Validator) {
		t.Errorf("afterwards: %x", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAServerThatCannotWriteEnds(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start()
	ring := p.server.keys.Keyring
	ring.mu.Lock()
	ring.file = &faultyFile{recordFile: ring.file, failAt: 2}
	ring.mu.Unlock()
	r := p.remote()
	eventually(t, "the record fails", func() bool {
		_, _, err := r.Sign(p.id.Validator, vote(5, 0, prevote, "x"))
		if !errors.Is(err, ErrUnreachable) {
			t.Fatalf("Sign: %v", err)
		}
		select {
		case err := <-p.result:
			if !errors.Is(err, ErrRecordWrite) || !errors.Is(err, errDisk) {
				t.Errorf("Run: %v", err)
			}
			return true
		default:
			return false
		}
	})
	p.cancel = nil
	p.start() // which finds out what is on the disk
	if _, _, err := answered(t, r, p.id.Validator, vote(6, 0, prevote, "x")); err != nil {
		t.Error(err)
	}
}

func TestUnusableDirectories(t *testing.T) {
	t.Parallel()
	good := Settings{ChainID: testChain, Nodes: [][]byte{publicOf("node")}}
	for name, s := range map[string]Settings{
		"no network":     {Nodes: good.Nodes},
		"a short key":    {ChainID: testChain, Nodes: [][]byte{{1, 2, 3}}},
		"too many nodes": {ChainID: testChain, Nodes: make([][]byte, maxNodes+1)},
	} {
		if err := Fill(t.TempDir(), s, nil); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, content := range map[string]string{
		"empty":         "",
		"newer":         `{"format":2,"chain_id":"test-12345678","nodes":[]}`,
		"unknown field": `{"format":1,"chain_id":"test-12345678","nodes":[],"color":"red"}`,
		"no hex":        `{"format":1,"chain_id":"test-12345678","nodes":["zz"]}`,
		"trailing":      `{"format":1,"chain_id":"test-12345678","nodes":[]}{}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/"+settingsName, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSettings(dir); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadSettings(t.TempDir()); !errors.Is(err, ErrConfig) {
		t.Errorf("an empty directory: %v", err)
	}
	for _, address := range []string{"", "host", ":1", "host:"} {
		if _, err := NewRemote(RemoteConfig{Address: address, PublicKey: publicOf("a"), Key: key("b")}); !errors.Is(err, ErrConfig) {
			t.Errorf("address %q: %v", address, err)
		}
	}
	if err := Protect(newProcess(t).dir, nil, []byte("open sesame")); err != nil {
		t.Error(err)
	}
}

// The kill test runs a signer in a copy of the test program and kills that. The copy finds its directory and its address in
// these variables.
const (
	killDir     = "ALTHING_TEST_SIGNER_DIR"
	killAddress = "ALTHING_TEST_SIGNER_ADDRESS"
)

// TestKilledSignerChild is the program that is killed.
func TestKilledSignerChild(t *testing.T) {
	if os.Getenv(killDir) == "" {
		return // only TestAKilledSignerNeverSignsTwice runs this, in a process of its own
	}
	listener, err := net.Listen("tcp", os.Getenv(killAddress))
	if err != nil {
		t.Fatal(err)
	}
	server, err := NewServer(ServerConfig{Dir: os.Getenv(killDir), Listener: listener})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	t.Fatal(server.Run(context.Background()))
}

// TestAKilledSignerNeverSignsTwice kills a real signer process in the middle of signing, again and again, and asks it after
// each restart for another block wherever it has given a signature, and where it may have been about to.
func TestAKilledSignerNeverSignsTwice(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	given := map[int64][]byte{} // by height: for block "x"
	height := int64(0)
	for round := range 4 {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledSignerChild$", "-test.v")
		child.Env = append(os.Environ(), killDir+"="+p.dir, killAddress+"="+p.address)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if address, ok := strings.CutPrefix(lines.Text(), "listening "); ok {
				p.address = address
				break
			}
		}
		r := p.remote()
		for h, signature := range given {
			other, _, err := answered(t, r, p.id.Validator, vote(h, 0, prevote, "y"))
			if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrRegression) {
				t.Fatalf("round %d: at %d, signed before: %x, %v", round, h, other, err)
			}
			if again, _, err := r.Sign(p.id.Validator, vote(h, 0, prevote, "x")); err == nil && !bytes.Equal(again, signature) {
				t.Fatalf("round %d: another signature at %d", round, h)
			}
		}
		// The killer strikes at some moment while votes are signed.
		victim, strike := child, make(chan struct{})
		go func() {
			<-strike
			_ = victim.Process.Kill()
		}()
		for n := 0; ; n++ {
			height++
			if n == 5+3*round {
				close(strike)
			}
			signature, _, err := r.Sign(p.id.Validator, vote(height, 0, prevote, "x"))
			if err != nil {
				if n < 5 {
					t.Fatalf("round %d: %v", round, err)
				}
				break
			}
			given[height] = signature
		}
		_ = child.Wait()
		height++ // what was under way when it died may or may not be recorded
	}
	if len(given) < 20 {
		t.Errorf("only %s signatures were given", strconv.Itoa(len(given)))
	}
}

// FuzzRequests gives the service any bytes for any of its requests.
func FuzzRequests(f *testing.F) {
	for _, m := range []proto.Message{
		&signerv1.SignRequest{PublicKey: publicOf("a"), Message: vote(1, 0, prevote, "x")},
		&signerv1.SignRequest{PublicKey: publicOf("a"), Message: proposal(2, 0, "x")},
		&signerv1.ListKeysRequest{Node: "acme-1", Org: "acme"},
		&signerv1.PrepareKeyRequest{Node: "acme-1", Org: "acme"},
		&signerv1.KeepKeyRequest{PublicKey: publicOf("a"), FromHeight: 7},
	} {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	ring, _ := newRing(f)
	s := &Server{keys: &Local{Keyring: ring, files: KeyFiles{Dir: f.TempDir(), Name: ValidatorKeyName}}, failure: make(chan error, 1)}
	s.log = discard()
	f.Fuzz(func(t *testing.T, data []byte) {
		var sign signerv1.SignRequest
		if proto.Unmarshal(data, &sign) == nil {
			out, err := s.Sign(t.Context(), &sign)
			if (err == nil) == (status.Code(err) != codes.OK) {
				t.Fatalf("an error without a code: %v", err)
			}
			if err == nil && !ed25519.Verify(sign.PublicKey, sign.Message, out.Signature) {
				t.Fatal("a wrong signature")
			}
		}
		var list signerv1.ListKeysRequest
		if proto.Unmarshal(data, &list) == nil {
			_, _ = s.ListKeys(t.Context(), &list)
		}
		var keep signerv1.KeepKeyRequest
		if proto.Unmarshal(data, &keep) == nil {
			_, _ = s.KeepKey(t.Context(), &keep)
		}
		if len(ring.PublicKeys()) == 0 {
			t.Fatal("no key is left")
		}
	})
}
