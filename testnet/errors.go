package testnet

import (
	"fmt"
	"strings"
)

// ErrorKind names what went wrong. Kinds work with errors.Is; the text around them is for people.
type ErrorKind string

// Error makes a kind usable as an error by itself.
func (k ErrorKind) Error() string { return string(k) }

const (
	// ErrOptions is returned by New for options that cannot be.
	ErrOptions = ErrorKind("invalid options")
	// ErrExists is returned by New when there is something in the place of the new network.
	ErrExists = ErrorKind("the directory exists and is not empty")
	// ErrNotNetwork is returned by Open for a directory that New did not make.
	ErrNotNetwork = ErrorKind("not the directory of a local network")
	// ErrNotDirectory is returned when something other than a directory has the name of one.
	ErrNotDirectory = ErrorKind("not a directory")
	// ErrContainers is returned for what only networks of processes can do.
	ErrContainers = ErrorKind("the network runs in containers")
	// ErrUnknownNode is returned when the network has no node of the name.
	ErrUnknownNode = ErrorKind("no such node")
	// ErrRunning is returned when nodes run that should not.
	ErrRunning = ErrorKind("already running")
	// ErrNotRunning is returned when a node does not run that should.
	ErrNotRunning = ErrorKind("not running")
	// ErrBusy is returned while another command starts or stops nodes of the same network.
	ErrBusy = ErrorKind("another command is starting or stopping the network")
	// ErrPortInUse is returned when another program uses a port of the network, or no ports are free.
	ErrPortInUse = ErrorKind("port in use")
	// ErrNotReady is the kind of a [StartError].
	ErrNotReady = ErrorKind("the network did not become ready")
	// ErrLeftRunning is returned beside the error of a start that failed, when what it started could not be stopped again.
	ErrLeftRunning = ErrorKind("what was started still runs")
	// ErrImage is returned when no container image can be made of a binary.
	ErrImage = ErrorKind("not a binary for a container without an operating system")
)

// StartError is returned when a node ended or did not become ready in time. It is [ErrNotReady].
type StartError struct {
	Node   string // its name
	Reason string // what happened, or what the node lacks
	Log    string // path of its log
	Lines  []string
}

// Error tells the node, the reason and the last lines of its log.
func (e *StartError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s %s", ErrNotReady, e.Node, e.Reason)
	if len(e.Lines) == 0 {
		fmt.Fprintf(&b, "; its log is empty: %s", e.Log)
		return b.String()
	}
	fmt.Fprintf(&b, "; its log (%s) ends with:", e.Log)
	for _, line := range e.Lines {
		b.WriteString("\n  ")
		b.WriteString(line)
	}
	return b.String()
}

// Is makes the error match [ErrNotReady].
func (e *StartError) Is(target error) bool { return target == ErrNotReady }
