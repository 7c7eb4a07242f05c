#!/usr/bin/env bash
# Talks to a node with nothing but curl.
#
#   examples/http.sh DIR        DIR: what `althing testnet up --dir DIR` made
#
# The transaction is signed by althing: keys stay out of curl. After `make demo` or with an asset acme/usd that acme/treasury owns.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(cd "${1:?usage: examples/http.sh DIR}" && pwd)
PATH="$root/bin:$PATH"
export ALTHING_NETWORK=$dir
node=http://$(althing testnet status --dir "$dir" --output json | sed -n 's/.*"http": *"\([^"]*\)".*/\1/p' | head -n 1)
run() { printf '\n$ curl %s\n' "$*"; curl --silent --show-error --fail-with-body "$@" && echo; }

# What is there?
run "$node/v1/status"
run --output /dev/null --write-out '%{size_download} bytes of %{content_type}' "$node/v1/openapi.json"

# Read: now, at a height, with a proof, page by page.
run "$node/v1/assets/acme/usd"
run "$node/v1/balances/globex/treasury/acme/usd"
height=$(curl --silent "$node/v1/charter" | sed -n 's/^{"height": *"\([0-9]*\)".*/\1/p')
run "$node/v1/balances/globex/treasury/acme/usd?height=$height"
run --output /dev/null --write-out '%{size_download} bytes with the proof' "$node/v1/accounts/acme/treasury?prove=true"
run "$node/v1/accounts?page_size=2"

# What has not changed is not sent again.
tag=$(curl --silent --output /dev/null --write-out '%header{etag}' "$node/v1/charter")
run --output /dev/null --write-out '%{http_code}' --header "If-None-Match: $tag" "$node/v1/charter"

# Write: sign here, send as bytes, then again as JSON. It is applied once, and both answer the same.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
althing asset transfer acme/usd 0.01 --to globex/treasury --as acme/treasury --sign-only -o "$work/tx.json"
tx=$(sed -n 's/.*"tx": *"\([^"]*\)".*/\1/p' "$work/tx.json")
base64 -d <<<"$tx" >"$work/tx"
run --header 'Content-Type: application/octet-stream' --data-binary "@$work/tx" --dump-header "$work/head" "$node/v1/transactions?wait=true"
run --json "{\"tx\": \"$tx\", \"wait\": true}" "$node/v1/transactions"
run "$node$(sed -n 's/^[Ll]ocation: *\([^[:space:]]*\).*/\1/p' "$work/head")"

# Watch from the first block on, as Server-Sent Events. The ids are where to go on: here after the first event.
printf '\n$ curl --no-buffer %s\n' "$node/v1/watch?from_height=1&detail=DETAIL_EVENTS&filter.assets=acme/usd"
watch() { curl --silent --no-buffer --max-time 10 "$@" | sed -n '/^data:/{p;q;}' || true; }
watch "$node/v1/watch?from_height=1&detail=DETAIL_EVENTS&filter.assets=acme/usd"
id=$(curl --silent --no-buffer --max-time 10 "$node/v1/watch?from_height=1&detail=DETAIL_EVENTS&filter.assets=acme/usd" |
	sed -n 's/^id: //p' | head -n 1 || true)
printf '\n$ curl --no-buffer --header "Last-Event-ID: %s" ...\n' "$id"
watch --header "Last-Event-ID: $id" "$node/v1/watch?detail=DETAIL_EVENTS&filter.assets=acme/usd"

# A mistake is an error with a reason: a google.rpc.Status.
if run "$node/v1/accounts/acme/nobody"; then
	echo "an account was found that there is not" >&2
	exit 1
fi
