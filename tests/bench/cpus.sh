#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Puts on one, two and four processors at once: do they wait for one another? This is
# timed, in thousands of puts a second of all together, and so tells of the host as well.
# shellcheck shell=dash source-path=SCRIPTDIR/../scenarios

. ./lib.sh

# together N [OPTION...]: how many puts so many processes get done
together() {
	local n=$1 workers='' worker
	shift

	for worker in $(seq "$n"); do
		taskset -c $((worker - 1)) ppo-cost get --mib 32 --runs 8 --mean "$@" >"/tmp/cost.$worker" &
		workers="$workers $!"
	done
	for worker in $workers; do
		wait "$worker"
	done
	for worker in $(seq "$n"); do
		cat "/tmp/cost.$worker"
	done | awk '{ n += 1e6 / $1 } END { print n }'
}

# row NAME [OPTION...]: a row of the table
row() {
	local name=$1
	shift

	set -- "$(together 1 "$@")" "$(together 2 "$@")" "$(together 4 "$@")"
	check "$name" awk "BEGIN { exit !($1 > 0 && $2 > 0 && $3 > 0) }"
	echo "# bench cpus: $name: $*"
}

# Folios of one page each
echo never >/sys/kernel/mm/transparent_hugepage/enabled
plan 4
row "not loaded"
load report_rate=0 || give_up "the module does not load"
arm page_pin_owner_put
echo 0 >"$T/tracing_on"
hold --memory anon --by none
echo "$PFNS" >"$D/mark"
row "one folio marked elsewhere"
row "marked" --marked
check "no mark, stack or put was lost" no_losses
finish
