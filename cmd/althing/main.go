// Command althing is the ledger's one program: it runs nodes and networks, and it is their client.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run())
}

// run ends with an exit code: 0 done, 1 failed, 2 not understood.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	return execute(ctx, os.Args[1:], standardStreams())
}
