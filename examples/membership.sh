#!/usr/bin/env bash
# A fifth organisation joins a running network by vote, validates, changes the key of its votes, and is removed again.
#
#   examples/membership.sh DIR        DIR: what `althing testnet up --dir DIR --detach` made, with an admin key for each org
#
# Each run takes another name, because the name of an organisation that was removed is never given again.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(cd "${1:?usage: examples/membership.sh DIR}" && pwd)
PATH="$root/bin:$PATH"
export ALTHING_NETWORK=$dir
org=hooli$(date +%s)
value() { sed -n "s/^  \"$1\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1; }

# decide FLAGS… makes a proposal of acme's and lets the others vote until it is executed.
decide() {
	local made id status
	made=$(althing proposal create "$@" --as acme/admin --output json)
	id=$(value id <<<"$made")
	status=$(value proposal_status <<<"$made")
	echo "proposal $id: $*"
	althing proposal show "$id" | sed -n 's/^changes//p'
	for voter in $(althing org list | awk '$2 == "active" { print $1 }'); do
		[ "$status" = open ] || break
		[ "$voter" != acme ] || continue
		status=$(althing proposal vote "$id" --yes --as "$voter/admin" --output json | value proposal_status)
		echo "$voter votes yes: the proposal is $status"
	done
	[ "$status" = executed ]
}

member=$(althing testnet add-node --dir "$dir" --org "$org" --output json | value member_file)
decide --admit-org "$org" --member "$member"
althing testnet node start "$org-1" --dir "$dir"
althing asset create "$org/coin" --decimals 2 --as "$org/admin"
althing validator rotate-key --as "$org/admin"
althing asset mint "$org/coin" 100.00 --to "$org/treasury" --as "$org/admin"
althing validator list
decide --remove-org "$org" --reason "the example is over"
althing testnet node stop "$org-1" --dir "$dir"
althing node list
