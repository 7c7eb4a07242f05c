package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// misuse is a mistake in flags, arguments or configuration.
type misuse struct{ err error }

func (e *misuse) Error() string { return e.err.Error() }
func (e *misuse) Unwrap() error { return e.err }

// usageError marks an error as a mistake of usage: it exits with 2.
func usageError(err error) error { return &misuse{err} }

func usagef(format string, args ...any) error { return usageError(fmt.Errorf(format, args...)) }

// hinted is an error that says itself what to do.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

func hint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// badPath makes a file that cannot be read or written a mistake of usage. It is told by the name that the user gave, not
// by that of a temporary file.
func badPath(path string, err error) error {
	var ofPath *fs.PathError
	var ofLink *os.LinkError
	if errors.As(err, &ofPath) {
		err = ofPath.Err
	} else if errors.As(err, &ofLink) {
		err = ofLink.Err
	}
	return hint(usagef("%s: %w", path, err), pathHint)
}

const pathHint = "check the path and its permissions"

// require makes flags of a command compulsory.
func require(cmd *cobra.Command, flags ...string) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		for _, name := range flags {
			if f := cmd.Flags().Lookup(name); !f.Changed || f.Value.String() == "" {
				return missing(f.Name, f.Usage)
			}
		}
		return nil
	}
}

// missing is the error of a flag that must have a value and has none.
func missing(flag, usage string) error {
	value := "VALUE"
	if parts := strings.Split(usage, "`"); len(parts) == 3 {
		value = parts[1] // what the help calls it
	}
	return hint(usagef("--%s is missing", flag), "add --%s %s", flag, value)
}

// flagError says in words what is wrong with a flag that is a number.
func flagError(_ *cobra.Command, err error) error {
	var number *strconv.NumError
	if !errors.As(err, &number) {
		return err
	}
	_, rest, _ := strings.Cut(err.Error(), `" for "`)
	flag, _, found := strings.Cut(rest, `" flag`)
	switch {
	case !found:
		return err
	case errors.Is(number, strconv.ErrRange):
		return usagef("%s: %.40s is too large", flag, number.Num)
	case number.Func == "ParseUint":
		return usagef("%s: %.40s is not a number from 0 up", flag, number.Num)
	default:
		return usagef("%s: %.40s is not a number", flag, number.Num)
	}
}

// statusCommand is the path of the command that other commands' hints name.
const statusCommand = "althing status"

// notApplied is the error of a command whose transaction has an outcome other than committed with code 0. Its JSON is
// printed already.
type notApplied struct {
	status string
	height uint64
	code   ledgerv1.Code
	reason string
	text   string
	// final says that nothing will change that any more.
	final bool
}

func (e *notApplied) Error() string {
	var b strings.Builder
	b.WriteString(e.status)
	if e.height > 0 {
		fmt.Fprintf(&b, " at height %d", e.height)
	}
	for _, part := range []string{e.reason, e.text} {
		if part != "" {
			b.WriteString(": " + part)
		}
	}
	return b.String()
}

// fail prints an error and its hint and returns the exit code.
func (s *streams) fail(cmd *cobra.Command, err error) int {
	fmt.Fprintf(s.err, "althing: %s\nhint: %s\n", textOf(err), hintOf(cmd, err))
	return exitCode(err)
}

// textOf returns an error's text without what gRPC and its wrapping say about themselves.
func textOf(err error) string {
	text := strings.TrimSpace(err.Error())
	var refused *client.Refused
	var undecided *client.Undecided
	var st interface{ GRPCStatus() *status.Status }
	switch {
	case errors.As(err, &undecided):
		why := textOf(undecided.Err)
		if errors.Is(err, context.Canceled) {
			why = "interrupted"
		} else if errors.Is(err, context.DeadlineExceeded) {
			why = "gave up waiting"
		}
		return fmt.Sprintf("the outcome of transaction %s is not known yet: %s", undecided.ID, why)
	case errors.As(err, &refused):
		return strings.Replace(text, refused.Error(), refused.Reason+": "+refused.Message, 1)
	case errors.As(err, &st):
		return strings.Replace(text, st.GRPCStatus().Err().Error(), st.GRPCStatus().Message(), 1)
	default:
		return text
	}
}

func exitCode(err error) int {
	var usage *misuse
	var name *names.Error
	switch {
	case errors.As(err, &usage), errors.As(err, &name),
		errors.Is(err, client.ErrNetworkFile),
		errors.Is(err, keys.ErrFilePermissions), errors.Is(err, keys.ErrFileFormat):
		return exitUsage
	default:
		return exitFailed
	}
}

// hintOf says what to do about an error, in one line.
func hintOf(cmd *cobra.Command, err error) string {
	var own *hinted
	var usage *misuse
	var name *names.Error
	var undecided *client.Undecided
	var refused *client.Refused
	var outcome *notApplied
	var ofPath *fs.PathError
	switch {
	case errors.As(err, &own):
		return own.hint
	case errors.As(err, &outcome):
		return outcomeHint(outcome)
	case errors.Is(err, client.ErrNetworkFile):
		return "name a network with --network DIR-or-FILE or " + networkVariable + "; `althing testnet up --dir DIR` makes one"
	case errors.Is(err, keys.ErrFilePermissions):
		return "only its owner may read a key file: chmod 600 FILE"
	case errors.Is(err, keys.ErrFileFormat):
		return "`althing key new` makes key files"
	case errors.As(err, &ofPath):
		return pathHint
	case errors.As(err, &usage), errors.As(err, &name):
		return "see `" + cmd.CommandPath() + " --help`"
	case errors.Is(err, client.ErrWrongNetwork):
		return "the node serves another network than the network file says: check --network and --node"
	case errors.As(err, &undecided) && undecided.ExpiresAt.IsZero():
		return "it may be on its way; with --expires-at the answer is sure to come"
	case errors.As(err, &undecided):
		return fmt.Sprintf("`althing tx wait %s --expires-at %s` waits on; sending the same transaction again is safe",
			undecided.ID, undecided.ExpiresAt.UTC().Format(timeFormat))
	case errors.Is(err, context.Canceled):
		return "interrupted; nothing that was sent can be applied twice"
	case errors.Is(err, context.DeadlineExceeded) && cmd.CommandPath() == statusCommand:
		return "give it longer with --timeout"
	case errors.Is(err, context.DeadlineExceeded):
		return "give it longer with --timeout; `althing status` shows how the nodes are"
	case errors.Is(err, client.ErrLie):
		return "nothing of that answer was used: tell whoever runs that node; `althing status` shows how all are"
	case errors.Is(err, client.ErrNoProof):
		return "a node of a newer version proves it: choose one with --node, or believe it with --unverified"
	case errors.Is(err, client.ErrStale):
		return "the node is behind the others: try again in a moment, or choose another one with --node"
	case errors.Is(err, client.ErrReceipt):
		return "what the message says cannot be proven that way; `althing tx receipt --help` says what can"
	case errors.Is(err, client.ErrUnreachable) && cmd.CommandPath() == statusCommand:
		return "is the network running? check --network and --node; --timeout gives the nodes longer"
	case errors.Is(err, client.ErrUnreachable):
		return "is the network running? `althing status` shows each of its nodes"
	case errors.Is(err, client.ErrClock):
		return "set this machine's clock, for example with a time service, and try again"
	case errors.Is(err, client.ErrNoKey):
		return "`althing key list` shows the keys of this network; --key FILE names another"
	case errors.Is(err, client.ErrTokenRequired):
		return "say as whom you read: --read-as ORG/NAME, or " + readerVariable + "; `althing account set-token-key ORG/NAME --as ORG/NAME` makes and registers the key for it"
	case errors.Is(err, client.ErrTokenInvalid):
		return "`althing account set-token-key ORG/NAME --as ORG/NAME` registers the key; the clocks of this machine and the node must agree"
	case errors.Is(err, client.ErrForbidden):
		return "the charter says which roles may read; an admin of the organisation gives an account roles with `althing account set-roles`"
	case errors.Is(err, client.ErrTransaction):
		return "`althing tx build` and --sign-only write transaction files, `althing tx show FILE` explains one"
	case errors.As(err, &refused):
		return codeHint(refused.Code)
	}
	return statusHint(status.Code(err))
}

func statusHint(code codes.Code) string {
	switch code {
	case codes.NotFound:
		return "check the name; the `list` commands show what there is"
	case codes.FailedPrecondition:
		return "nodes keep old heights for a while only; ask for a newer one, or another node with --node"
	case codes.OutOfRange:
		return "that height is not there yet; `althing status` shows the newest"
	case codes.ResourceExhausted:
		return "the node has too much to do; try again in a moment"
	case codes.Unimplemented:
		return "the node is older than this program: `althing status` shows its version"
	case codes.InvalidArgument:
		return "correct the arguments and try again"
	default:
		return "`althing status` shows how the nodes are"
	}
}

// outcomeHint says what to do about a transaction that was not applied.
func outcomeHint(o *notApplied) string {
	switch {
	case o.reason != "":
		return codeHint(o.code)
	case o.status == statusText(ledgerv1.TxStatus_TX_STATUS_UNKNOWN):
		return "no node knows it: check the id, and say when it expires with --expires-at to know whether it still may come"
	default:
		return "`althing tx wait ID` waits until it is decided"
	}
}

// codeHint says what to do about a code of the ledger.
func codeHint(code ledgerv1.Code) string {
	switch code {
	case ledgerv1.Code_CODE_EXPIRED, ledgerv1.Code_CODE_EXPIRY_TOO_DISTANT, ledgerv1.Code_CODE_TOO_MANY_LONG_EXPIRIES:
		return "build and sign it anew; --expires-in says for how long it is good"
	case ledgerv1.Code_CODE_UNKNOWN_ACCOUNT:
		return "`althing account list` shows the accounts there are"
	case ledgerv1.Code_CODE_MISSING_SIGNATURE:
		return "repeat --as for each signer, or collect signatures: --sign-only -o T, `althing tx sign T --as …`, `althing tx submit T`"
	case ledgerv1.Code_CODE_KEY_NOT_LISTED, ledgerv1.Code_CODE_WRONG_SIGNATURE, ledgerv1.Code_CODE_SURPLUS_SIGNATURE:
		return "`althing account show ORG/NAME` lists an account's keys, `althing key show FILE` the key of a file"
	case ledgerv1.Code_CODE_WRONG_CHAIN:
		return "a transaction is good for one network only: build it anew for this one"
	case ledgerv1.Code_CODE_ROLE_REQUIRED:
		return "`althing account show ORG/NAME` lists an account's roles; an admin of its org changes them with `althing account set-roles`"
	case ledgerv1.Code_CODE_OVERDRAFT, ledgerv1.Code_CODE_FROZEN:
		return "`althing asset balance ASSET ACCOUNT` shows what the account can spend"
	case ledgerv1.Code_CODE_CAP_EXCEEDED, ledgerv1.Code_CODE_OVERFLOW:
		return "`althing asset show ASSET` shows its supply and its cap"
	case ledgerv1.Code_CODE_VERSION_MISMATCH:
		return "`althing record history RECORD` shows the versions; write again on top of the newest"
	case ledgerv1.Code_CODE_COSIGNER_REQUIRED, ledgerv1.Code_CODE_NOT_GRANTED:
		return "`althing collection show ORG/COLLECTION` shows who may write; --cosigner ORG/NAME names a second writer"
	case ledgerv1.Code_CODE_NOT_FOUND, ledgerv1.Code_CODE_BAD_NAME:
		return "check the name; the `list` commands show what there is"
	case ledgerv1.Code_CODE_TOO_LARGE, ledgerv1.Code_CODE_LIMIT_REACHED, ledgerv1.Code_CODE_STORAGE_FULL, ledgerv1.Code_CODE_ORG_BLOCK_FULL:
		return "`althing charter show` shows the limits"
	default:
		return membershipHint(code)
	}
}

// membershipHint says what to do about a code that is about members and their votes.
func membershipHint(code ledgerv1.Code) string {
	switch code {
	case ledgerv1.Code_CODE_ORG_NOT_ACTIVE, ledgerv1.Code_CODE_WRONG_STATUS:
		return "`althing org show ORG` shows the status of an organisation and why it has it"
	case ledgerv1.Code_CODE_NO_POSSESSION:
		return "`althing network init` makes keys with their proofs; a proof is good for one node of one organisation"
	case ledgerv1.Code_CODE_QUORUM_LOST:
		return "remove less at once, or say --spread; `althing validator list` shows who has how much power"
	case ledgerv1.Code_CODE_KEY_USED:
		return "make another key: those of nodes and validators are never used twice"
	case ledgerv1.Code_CODE_BEYOND_ALLOTMENT, ledgerv1.Code_CODE_VOTE_REQUIRED:
		return "ask the members: `althing proposal create` puts it to the vote; `althing org show ORG` shows what an organisation may do by itself"
	case ledgerv1.Code_CODE_NOT_OPEN:
		return "`althing proposal show ID` shows what has become of it"
	case ledgerv1.Code_CODE_MAY_NOT_PROPOSE:
		return "`althing charter show` lists the rules: who may propose what"
	case ledgerv1.Code_CODE_LAST_ADMIN:
		return "give another account of the organisation the role admin first"
	default:
		return "nothing changed; correct what it says and send it again"
	}
}
