#!/usr/bin/env bash
# Talks to a node with nothing but grpcurl, which finds the schema by reflection.
#
#   examples/grpcurl.sh DIR        DIR: what `althing testnet up --dir DIR` made
#
# grpcurl is at https://github.com/fullstorydev/grpcurl. The transaction is signed by althing: keys stay out of grpcurl. After
# `make demo` or with an asset acme/usd that acme/treasury owns.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(cd "${1:?usage: examples/grpcurl.sh DIR}" && pwd)
PATH="$root/bin:$PATH"
export ALTHING_NETWORK=$dir
node=$(sed -n 's/.*"grpc": *"\([^"]*\)".*/\1/p' "$dir/network.json" | head -n 1)
run() { printf '\n$ grpcurl -plaintext %s\n' "$*"; grpcurl -plaintext "$@"; }

# What is there?
run "$node" list
run "$node" describe althing.ledger.v1.LedgerService
run "$node" describe althing.ledger.v1.SubmitRequest

# Read.
run "$node" grpc.health.v1.Health/Check
run "$node" althing.ledger.v1.LedgerService/GetStatus
run -d '{"asset": "acme/usd"}' "$node" althing.assets.v1.AssetsService/GetAsset
run -d '{"asset": "acme/usd", "account": "globex/treasury"}' "$node" althing.assets.v1.AssetsService/GetBalance

# Write: sign here, send with grpcurl. The file holds the encoded transaction in base64, which is how JSON carries bytes.
# Sent twice, it is applied once, and both calls answer the same.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
althing asset transfer acme/usd 0.01 --to globex/treasury --as acme/treasury --sign-only -o "$work/tx.json"
tx=$(sed -n 's/.*"tx": *"\([^"]*\)".*/\1/p' "$work/tx.json")
for _ in 1 2; do
	run -d "{\"tx\": \"$tx\", \"wait\": true}" "$node" althing.ledger.v1.LedgerService/Submit
done

# A transaction that is refused is an error with a reason: here the first byte is another.
if run -d "{\"tx\": \"Q${tx#?}\"}" "$node" althing.ledger.v1.LedgerService/Submit; then
	echo "a spoilt transaction was taken" >&2
	exit 1
fi
