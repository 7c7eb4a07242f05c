#!/usr/bin/env bash
# Starts a network of four validators and commits transactions on it. `make demo` runs it: examples/demo.sh DIR
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:?usage: examples/demo.sh DIR}
PATH="$PWD/bin:$PATH"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

if [ -e "$dir" ]; then
	echo "$dir is there already: it holds an earlier network. Remove it with: make demo-down DIR=$dir" >&2
	exit 1
fi
started=$SECONDS
say "A network of four organisations, each with one validator"
run althing testnet up --validators 4 --dir "$dir" --detach
export ALTHING_NETWORK=$dir

say "acme issues a currency and pays globex; four validators order it"
run althing asset create acme/usd --decimals 2 --as acme/admin
run althing asset mint acme/usd 1000.00 --to acme/treasury --as acme/admin
run althing asset transfer acme/usd 12.50 --to globex/treasury --as acme/treasury

say "Committed $((SECONDS - started)) seconds after the start. globex's own node says:"
run althing --node globex-1 asset balance acme/usd globex/treasury
run althing status

say "The network goes on running. Things to try:"
cat <<TRY
  export PATH="$PWD/bin:\$PATH" ALTHING_NETWORK=$dir
  althing asset transfer acme/usd 1.25 --to initech/treasury --as globex/treasury
  althing watch                                        # blocks as they are committed
  althing testnet node kill globex-1 --dir $dir     # three of four go on; start it again
  examples/payments/run.sh $dir                     # 300 payments, with the sums checked
  make demo-down                                       # stop everything and remove $dir
TRY
