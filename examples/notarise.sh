#!/usr/bin/env bash
# A document is notarised: its hash goes on the ledger, and the receipt proves it to people who never ran a node.
#
#   examples/notarise.sh DIR [DOCUMENT]      DIR: what `althing testnet up --dir DIR --detach` made
#
# Without a DOCUMENT, a contract is made up. The document itself never leaves this machine.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(cd "${1:?usage: examples/notarise.sh DIR [DOCUMENT]}" && pwd)
PATH="$root/bin:$PATH"
desk=$(mktemp -d)
trap 'rm -rf "$desk"' EXIT
if [ $# -gt 1 ]; then
	cp "$2" "$desk/contract.pdf"
else
	echo "Acme sells Globex one lighthouse, as seen, for 12.50." >"$desk/contract.pdf"
fi

# flip FILE COPY makes a copy in which one bit, in the middle, is another.
flip() {
	local at byte
	cp "$1" "$2"
	at=$(($(wc -c <"$1") / 2))
	byte=$(od -An -tu1 -j "$at" -N 1 "$1")
	printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$2" bs=1 seek="$at" conv=notrunc status=none
}

# refused COMMAND… expects the exit code 1.
refused() {
	local code=0
	"$@" || code=$?
	[ "$code" -eq 1 ]
}

# Acme's side: one command, with the network.
export ALTHING_NETWORK=$dir
cd "$desk"
althing record put "acme/notary/contract-$(date +%s)" --file contract.pdf --content-type application/pdf \
	--hash-only --receipt receipt --as acme/admin
genesis=$(sed -n 's/^ *"genesis_hash": *"\([0-9a-f]*\)".*/\1/p' "$dir/network.json")

# The auditor's side: two files and a hash that everybody knows, and no network.
unset ALTHING_NETWORK
sha256sum contract.pdf
althing verify receipt --file contract.pdf --genesis "$genesis"

# One bit of either.
flip contract.pdf forged.pdf
refused althing verify receipt --file forged.pdf --genesis "$genesis"
flip receipt forged.receipt
refused althing verify forged.receipt --file contract.pdf --genesis "$genesis"
echo "Both forgeries were caught."
