#!/usr/bin/env bash
# Makes the payments of payments.csv on a running network and compares the balances with sums that awk makes from the file.
#
#   examples/payments/run.sh DIR        DIR: what `althing testnet up --dir DIR` made, with the four orgs of the CSV
#
# The asset is new in each run, so that it may be run again and again on the same network.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
dir=$(cd "${1:?usage: examples/payments/run.sh DIR}" && pwd)
PATH="$root/bin:$PATH"
export ALTHING_NETWORK=$dir
csv=$here/payments.csv
asset=acme/pay$(date +%s)
opening=50000.00
accounts="acme/treasury globex/treasury initech/treasury umbrella/treasury"

echo "create $asset and give each of the four $opening"
althing asset create "$asset" --decimals 2 --as acme/admin >/dev/null
for account in $accounts; do
	althing asset mint "$asset" "$opening" --to "$account" --as acme/admin >/dev/null
done

(cd "$root" && go build -o bin/payments ./examples/payments)
payments --network "$dir" --asset "$asset" --file "$csv"

# In cents, so that nothing is rounded.
wrong=0
for account in $accounts; do
	want=$(awk -F, -v account="$account" -v opening="$opening" '
		function cents(s) { sub(/\./, "", s); return s + 0 }
		BEGIN { sum = cents(opening) }
		NR > 1 { if ($1 == account) sum -= cents($3); if ($2 == account) sum += cents($3) }
		END { printf "%d.%02d\n", int(sum / 100), sum % 100 }' "$csv")
	got=$(althing asset balance "$asset" "$account" --output json | sed -n 's/.*"amount": *"\([0-9.]*\)".*/\1/p')
	if [ "$got" = "$want" ]; then
		echo "$account has $got, as the file says"
	else
		echo "$account has $got, but the file says $want" >&2
		wrong=1
	fi
done
exit "$wrong"
