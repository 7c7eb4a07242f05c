//go:build netns && linux

package testnet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// These tests run real processes in network namespaces of their own, each with its own address on a bridge that stands in
// yet another namespace. They need root and the commands ip and iptables, and leave nothing behind:
//
//	go test -tags netns -run Namespaces ./testnet

const (
	meshPort = "26656"
	// handshakeBytes bounds what a listening node says to somebody whom it does not know yet, as contents of TCP: its
	// ephemeral key (35 bytes), its proof of identity and what it says of itself (1,044 each).
	handshakeBytes = 35 + 2*1044
)

// wires is a bridge and the namespaces that hang on it.
type wires struct {
	t       *testing.T
	program string // the binary under test
	prefix  string
	hub     string
	hosts   []*host
}

// host is a namespace in which a node runs.
type host struct {
	*wires
	name      string // of the node
	org       string
	namespace string
	port      string // the bridge's end of its cable
	address   string
	home      string
	process   *exec.Cmd
	ended     chan struct{}
}

func newWires(t *testing.T) *wires {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root: run this as root, or without the tag netns")
	}
	w := &wires{t: t, program: binary(t), prefix: fmt.Sprintf("al%d", os.Getpid())}
	w.hub = w.prefix + "hub"
	w.namespace(w.hub)
	w.ip("-n", w.hub, "link", "add", "br0", "type", "bridge")
	w.ip("-n", w.hub, "link", "set", "br0", "up")
	return w
}

// namespace makes a namespace that goes when the test ends, whatever is in it.
func (w *wires) namespace(name string) {
	w.t.Helper()
	w.ip("netns", "add", name)
	w.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			w.t.Errorf("namespace %s stays: %v %s", name, err, out)
		}
		if err := os.RemoveAll(filepath.Join("/etc/netns", name)); err != nil {
			w.t.Error(err)
		}
	})
	w.ip("-n", name, "link", "set", "lo", "up")
}

func (w *wires) ip(args ...string) {
	w.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// plug makes the namespace of a node and connects it.
func (w *wires) plug(org string) *host {
	w.t.Helper()
	number := len(w.hosts) + 1
	h := &host{
		wires: w, name: org + "-1", org: org, namespace: fmt.Sprintf("%s-%s", w.prefix, org), port: fmt.Sprintf("port%d", number),
		address: fmt.Sprintf("10.203.0.%d", 10+number), home: filepath.Join(w.t.TempDir(), org),
	}
	w.namespace(h.namespace)
	w.ip("-n", w.hub, "link", "add", h.port, "type", "veth", "peer", "name", "eth0", "netns", h.namespace)
	w.ip("-n", w.hub, "link", "set", h.port, "master", "br0", "up")
	w.ip("-n", h.namespace, "address", "add", h.address+"/24", "dev", "eth0")
	w.ip("-n", h.namespace, "link", "set", "eth0", "up")
	// What stands here is /etc/hosts to what runs in the namespace.
	if err := os.MkdirAll(filepath.Join("/etc/netns", h.namespace), 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.hosts = append(w.hosts, h)
	return h
}

// tell writes the names that all hosts know.
func (w *wires) tell() {
	w.t.Helper()
	text := "127.0.0.1 localhost\n"
	for _, h := range w.hosts {
		text += fmt.Sprintf("%s %s.example\n", h.address, h.name)
	}
	for _, h := range w.hosts {
		// Not replaced but written anew: the file is mounted where the processes look.
		if err := os.WriteFile(filepath.Join("/etc/netns", h.namespace, "hosts"), []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (h *host) inside(args ...string) *exec.Cmd {
	return exec.CommandContext(h.t.Context(), "ip", slices.Concat([]string{"netns", "exec", h.namespace}, args)...)
}

// run runs a command of the program in the namespace, against the node there, and decodes what it prints.
func (h *host) run(into any, args ...string) {
	h.t.Helper()
	if err := h.try(into, args...); err != nil {
		h.t.Fatalf("%s: %v: %v", h.name, args, err)
	}
}

func (h *host) try(into any, args ...string) error {
	if into == nil {
		into = new(any)
	}
	var out, bad bytes.Buffer
	cmd := h.inside(slices.Concat([]string{h.program, "--output", "json"}, args)...)
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s%s", err, bad.String(), out.String())
	}
	return json.Unmarshal(out.Bytes(), into)
}

// ask is try for a command that needs the network file.
func (h *host) ask(into any, args ...string) error {
	return h.try(into, slices.Concat([]string{"--network", h.home}, args)...)
}

func (h *host) must(into any, args ...string) {
	h.t.Helper()
	if err := h.ask(into, args...); err != nil {
		h.t.Fatalf("%s: %v: %v", h.name, args, err)
	}
}

// start runs the node until the test ends.
func (h *host) start() {
	h.t.Helper()
	log, err := os.Create(filepath.Join(h.home, "node.log"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.process = exec.Command("ip", "netns", "exec", h.namespace, h.program, "network", "start", "--home", h.home)
	h.process.Stderr = log
	if err := h.process.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.ended = make(chan struct{})
	go func() {
		defer close(h.ended)
		_ = h.process.Wait()
		_ = log.Close()
	}()
	h.t.Cleanup(func() {
		// ip has become the program: the process is the node itself.
		_ = h.process.Process.Signal(os.Interrupt)
		stubborn := time.AfterFunc(15*time.Second, func() { _ = h.process.Process.Kill() })
		<-h.ended
		stubborn.Stop()
		if h.t.Failed() {
			h.t.Logf("log of %s:\n%s", h.name, h.logged())
		}
	})
}

func (h *host) logged() string {
	content, err := os.ReadFile(filepath.Join(h.home, "node.log"))
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// standing is what a node says of itself.
type standing struct {
	Height  uint64
	AppHash string `json:"app_hash"`
	Ready   bool
	Waiting string
	Peers   []struct{ Name, Address string }
}

func (h *host) status() (standing, error) {
	var s struct{ Nodes []standing }
	if err := h.ask(&s, "--node", h.name, "status"); err != nil {
		return standing{}, err
	}
	return s.Nodes[0], nil
}

// sees says whether a node is connected to another one, and where.
func (h *host) sees(other *host) (address string, connected bool) {
	s, err := h.status()
	if err != nil {
		return "", false
	}
	for _, p := range s.Peers {
		if p.Name == other.name {
			return p.Address, true
		}
	}
	return "", false
}

func (w *wires) others(than *host) []*host {
	return slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return h == than })
}

// meet waits until all of some nodes are connected to one.
func meet(t *testing.T, one *host, others ...*host) {
	t.Helper()
	for _, other := range others {
		took := eventually(t, 60*time.Second, other.name+" is connected to "+one.name, func() bool {
			_, connected := other.sees(one)
			return connected
		})
		t.Logf("%s has met %s after %v", other.name, one.name, took.Round(10*time.Millisecond))
	}
}

// forbidDialling makes a host wait for others to dial it, until the returned function is called.
func (h *host) forbidDialling() (allow func()) {
	h.t.Helper()
	iptables := func(what string) {
		h.t.Helper()
		if out, err := h.inside("iptables", what, "OUTPUT", "-p", "tcp", "--syn", "--dport", meshPort, "-j", "DROP").CombinedOutput(); err != nil {
			h.t.Fatalf("iptables: %v\n%s", err, out)
		}
	}
	iptables("-A")
	return func() { iptables("-D") }
}

// move gives a host another address.
func (h *host) move(to string) {
	h.t.Helper()
	h.ip("-n", h.namespace, "address", "del", h.address+"/24", "dev", "eth0")
	h.ip("-n", h.namespace, "address", "add", to+"/24", "dev", "eth0")
	h.address = to
}

// decided makes a proposal and has others vote until it is executed.
func (h *host) decided(voters []*host, args ...string) {
	h.t.Helper()
	var p struct {
		ID     uint64
		Status string `json:"proposal_status"`
	}
	h.must(&p, slices.Concat([]string{"proposal", "create", "--as", h.org + "/admin"}, args)...)
	for _, v := range voters {
		v.must(&p, "proposal", "vote", fmt.Sprint(p.ID), "--yes", "--as", v.org+"/admin")
	}
	if p.Status != "executed" {
		h.t.Fatalf("%v: the proposal is %s", args, p.Status)
	}
}

// TestNamespaces lets four organisations found a network, each on a machine of its own, and then has an unlisted node, moving
// nodes, a broken cable and a removal happen to it, while a client writes without a pause.
func TestNamespaces(t *testing.T) {
	w := newWires(t)
	var members []string
	for _, org := range []string{"acme", "globex", "initech", "umbrella"} {
		h := w.plug(org)
		address := h.address
		if org == "initech" {
			address = h.name + ".example"
		}
		var made struct {
			MemberFile string `json:"member_file"`
		}
		h.run(&made, "network", "init", "--org", org, "--address", address+":"+meshPort, "--home", h.home)
		members = append(members, made.MemberFile)
	}
	acme, globex, initech, umbrella := w.hosts[0], w.hosts[1], w.hosts[2], w.hosts[3]
	founders := slices.Clone(w.hosts)
	stranger := w.plug("hooli")
	w.tell()
	ticket := filepath.Join(t.TempDir(), "ticket.json")
	acme.run(nil, "network", "new", "--name", "apart", "--orgs", strings.Join(members, ","), "-o", ticket)
	for _, h := range founders {
		h.run(nil, "network", "join", ticket, "--home", h.home)
		h.start()
	}
	for _, h := range founders {
		eventually(t, 60*time.Second, h.name+" is ready", func() bool { s, err := h.status(); return err == nil && s.Ready && len(s.Peers) == 3 })
	}
	load := write(acme)
	load.flows(t)

	strangerGetsNothing(t, stranger, founders, ticket)
	load.flows(t)
	// It lacked nothing but being listed.
	acme.decided([]*host{globex, initech}, "--admit-org", "hooli", "--member", stranger.memberFile())
	meet(t, stranger, founders...)
	eventually(t, 60*time.Second, "hooli-1 follows", func() bool { s, err := stranger.status(); return err == nil && s.Ready })
	load.flows(t)

	t.Run("an address that the ledger is told of", func(t *testing.T) {
		defer globex.forbidDialling()()
		globex.must(nil, "node", "set-addresses", globex.name, "10.203.0.51:"+meshPort, "--as", "globex/admin")
		globex.move("10.203.0.51")
		found(t, globex, w.others(globex)...)
		load.flows(t)
	})
	t.Run("a name that has another address", func(t *testing.T) {
		defer initech.forbidDialling()()
		initech.move("10.203.0.52")
		w.tell()
		found(t, initech, w.others(initech)...)
		load.flows(t)
	})
	t.Run("a broken cable", func(t *testing.T) {
		w.ip("-n", w.hub, "link", "set", umbrella.port, "down")
		eventually(t, 60*time.Second, "umbrella-1 notices that it is alone", func() bool { s, err := umbrella.status(); return err == nil && !s.Ready && len(s.Peers) == 0 })
		load.flows(t)
		before, err := acme.status()
		if err != nil {
			t.Fatal(err)
		}
		w.ip("-n", w.hub, "link", "set", umbrella.port, "up")
		took := eventually(t, 60*time.Second, "umbrella-1 has caught up", func() bool {
			s, err := umbrella.status()
			return err == nil && s.Ready && s.Height >= before.Height
		})
		t.Logf("caught up after %v", took)
		meet(t, umbrella, w.others(umbrella)...)
	})
	t.Run("removal", func(t *testing.T) {
		acme.decided([]*host{globex, initech, umbrella}, "--remove-node", stranger.name)
		took := eventually(t, evictionLimit, "hooli-1 is cut off", func() bool {
			return !slices.ContainsFunc(founders, func(h *host) bool { _, connected := h.sees(stranger); return connected })
		})
		t.Logf("cut off everywhere after %v", took)
		last, err := acme.status()
		if err != nil {
			t.Fatal(err)
		}
		load.flows(t)
		select {
		case <-stranger.ended: // it got the block that removed it
		default:
			if s, err := stranger.status(); err == nil && (s.Height > last.Height || len(s.Peers) > 0) {
				t.Errorf("after its removal before block %d it says %+v", last.Height, s)
			}
		}
	})
	load.end(t)
	var height uint64
	eventually(t, 60*time.Second, "all have one app hash", func() bool {
		hashes := map[string]bool{}
		for _, h := range founders {
			s, err := h.status()
			if err != nil {
				return false
			}
			height = s.Height
			hashes[fmt.Sprint(s.Height, s.AppHash)] = true
		}
		return len(hashes) == 1
	})
	t.Logf("%d writes, height %d", load.committed.Load(), height)
}

// found waits until all others are connected to a node at its present address.
func found(t *testing.T, one *host, others ...*host) {
	t.Helper()
	for _, other := range others {
		took := eventually(t, 60*time.Second, fmt.Sprintf("%s finds %s at %s", other.name, one.name, one.address), func() bool {
			address, connected := other.sees(one)
			return connected && address == one.address+":"+meshPort
		})
		t.Logf("%s has found %s after %v", other.name, one.name, took.Round(10*time.Millisecond))
	}
}

func (h *host) memberFile() string { return filepath.Join(h.home, h.org+"-1.member.json") }

// strangerGetsNothing runs a node with the right document and keys that nobody has listed, and counts every byte that comes
// to it.
func strangerGetsNothing(t *testing.T, stranger *host, members []*host, ticket string) {
	t.Helper()
	counted := listen(t, stranger)
	stranger.run(nil, "network", "join", ticket, "--home", stranger.home, "--org", stranger.org, "--address", stranger.address+":"+meshPort)
	stranger.start()
	eventually(t, 60*time.Second, "each member has refused the stranger several times", func() bool {
		for _, m := range members {
			if counted.connections(m.address) < 4 {
				return false
			}
		}
		return true
	})
	s, err := stranger.status()
	if err != nil {
		t.Fatal(err)
	}
	if s.Height != 0 || s.Ready || len(s.Peers) != 0 || !strings.Contains(s.Waiting, "does not list hooli-1") {
		t.Errorf("the stranger says %+v", s)
	}
	var block any
	if err := stranger.ask(&block, "block", "show", "1"); err == nil {
		t.Errorf("the stranger has a block: %v", block)
	}
	for _, m := range members {
		if _, connected := m.sees(stranger); connected {
			t.Errorf("%s is connected to the stranger", m.name)
		}
		if log := m.logged(); !strings.Contains(log, "refused a connection: the node is not listed") {
			t.Errorf("%s does not say that it refused somebody", m.name)
		}
	}
	most, connections := counted.most()
	if most > handshakeBytes {
		t.Errorf("the stranger got %d bytes in one of %d connections, a handshake has %d", most, connections, handshakeBytes)
	}
	t.Logf("the stranger got %d bytes at most in each of %d connections: the handshake", most, connections)
}

// tap counts the contents of the TCP connections that reach a namespace, in bytes.
type tap struct {
	mu    sync.Mutex
	bytes map[netip.AddrPort]map[uint16]int // by where they come from, and the port that they go to
}

// listen counts what comes to a host from the port of the mesh.
func listen(t *testing.T, h *host) *tap {
	t.Helper()
	counted := &tap{bytes: map[netip.AddrPort]map[uint16]int{}}
	opened, done := make(chan error, 1), make(chan struct{})
	var socket int
	go func() {
		// The thread enters the namespace and ends with the goroutine: it is never unlocked.
		runtime.LockOSThread()
		defer close(done)
		var err error
		socket, err = openTap(h.namespace)
		opened <- err
		if err == nil {
			counted.read(socket)
		}
	}()
	if err := <-opened; err != nil {
		t.Fatalf("listen in %s: %v", h.namespace, err)
	}
	t.Cleanup(func() {
		_ = syscall.Shutdown(socket, syscall.SHUT_RDWR)
		counted.mu.Lock()
		counted.bytes = nil
		counted.mu.Unlock()
		<-done
	})
	return counted
}

func openTap(namespace string) (int, error) {
	number, known := map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH] // of the system call setns
	if !known {
		return 0, errors.New("not on this architecture")
	}
	file, err := os.Open(filepath.Join("/run/netns", namespace))
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	if _, _, failed := syscall.RawSyscall(number, file.Fd(), syscall.CLONE_NEWNET, 0); failed != 0 {
		return 0, fmt.Errorf("setns: %w", failed)
	}
	ipv4 := uint16(syscall.ETH_P_IP)
	socket, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, int(ipv4>>8|ipv4<<8))
	if err != nil {
		return 0, err
	}
	return socket, syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Usec: 100_000})
}

// read counts until the tap is closed.
func (c *tap) read(socket int) {
	defer func() { _ = syscall.Close(socket) }()
	packet := make([]byte, 1<<17)
	for {
		n, from, err := syscall.Recvfrom(socket, packet, 0)
		c.mu.Lock()
		closed := c.bytes == nil
		if link, ok := from.(*syscall.SockaddrLinklayer); err == nil && !closed && (!ok || link.Pkttype != 4) { // 4: what this host sends
			c.count(packet[:n])
		}
		c.mu.Unlock()
		if closed {
			return
		}
	}
}

func number16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

// count takes an IPv4 packet. The caller holds the lock.
func (c *tap) count(packet []byte) {
	if len(packet) < 20 || packet[9] != syscall.IPPROTO_TCP {
		return
	}
	header, total := int(packet[0]&15)*4, int(number16(packet[2:]))
	if len(packet) < header+20 {
		return
	}
	segment := packet[header:]
	content := total - header - int(segment[12]>>4)*4
	address, _ := netip.AddrFromSlice(packet[12:16])
	from := netip.AddrPortFrom(address, number16(segment))
	if fmt.Sprint(from.Port()) != meshPort {
		return
	}
	if c.bytes[from] == nil {
		c.bytes[from] = map[uint16]int{}
	}
	c.bytes[from][number16(segment[2:])] += content
}

// connections returns how many connections to an address have carried anything.
func (c *tap) connections(address string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 0
	for from, ports := range c.bytes {
		for _, bytes := range ports {
			if from.Addr().String() == address && bytes > 0 {
				count++
			}
		}
	}
	return count
}

// most returns how much came over the connection that carried most, and how many connections there were.
func (c *tap) most() (most, connections int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ports := range c.bytes {
		for _, bytes := range ports {
			most = max(most, bytes)
			connections++
		}
	}
	return most, connections
}

// writing is a client that writes without a pause.
type writing struct {
	committed atomic.Int64
	failed    atomic.Pointer[error]
	stop      context.CancelFunc
	done      sync.WaitGroup
}

func write(through *host) *writing {
	through.t.Helper()
	through.must(nil, "asset", "create", "acme/coin", "--decimals", "0", "--as", "acme/admin")
	ctx, cancel := context.WithCancel(through.t.Context())
	w := &writing{stop: cancel}
	w.done.Go(func() {
		for ctx.Err() == nil {
			if err := through.ask(nil, "asset", "mint", "acme/coin", "1", "--to", "acme/admin", "--as", "acme/admin"); err != nil && ctx.Err() == nil {
				w.failed.Store(&err)
				return
			}
			w.committed.Add(1)
		}
	})
	through.t.Cleanup(func() {
		cancel()
		w.done.Wait()
	})
	return w
}

// flows waits until the client has written some more.
func (w *writing) flows(t *testing.T) {
	t.Helper()
	enough := w.committed.Load() + 3
	eventually(t, 60*time.Second, "writes go on", func() bool {
		if failed := w.failed.Load(); failed != nil {
			t.Fatalf("a write failed: %v", *failed)
		}
		return w.committed.Load() >= enough
	})
}

func (w *writing) end(t *testing.T) {
	t.Helper()
	w.flows(t)
	w.stop()
	w.done.Wait()
	if failed := w.failed.Load(); failed != nil {
		t.Errorf("a write failed: %v", *failed)
	}
}
