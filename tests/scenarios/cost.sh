#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the put of a page costs, in guest instructions: of one that is not marked, and of
# one that is, many times from the same place. They are counted, not timed: a run on
# another machine gives the same figures.
# vm: --icount
# debug: never, its figures are those of the lab kernel
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# kernel: which one this is, and which compiler made it
kernel() {
	sed 's/^Linux version \([^ ]*\) .*[( ]\(gcc\|clang\) .*) \([0-9.]*\), .*/\1 \2 \3/' /proc/version
}

# at_most NAME LIMIT [OPTION...]: a put in the loop of gup_test, or what the options say, costs
# at most that many, and not 3 % more than it did when lib/cost.txt was written
at_most() {
	local name=$1 limit=$2 cost before
	shift 2

	[ "${1-}" = take ] || set -- get "$@"
	cost=$(ppo-cost "$@")
	echo "# $(kernel): $name: $cost"
	# The timer's tick adds a few tenths.
	check "$name: at most $limit" awk "BEGIN { exit !($cost <= $limit + 0.5) }"
	before=$(sed -n "s/^$(kernel): $name: //p" ./lib/cost.txt)
	if [ -n "$before" ]; then
		check "$name: was $before" awk "BEGIN { exit !($cost <= $before * 1.03 + 0.5) }"
	else
		skip "$name: as before" "lib/cost.txt has no figures of $(kernel)"
	fi
}

# Folios of one page each
echo never >/sys/kernel/mm/transparent_hugepage/enabled
plan 25
without=$(ppo-cost get)
echo "# not loaded: $without instructions"
load || give_up "the module does not load"
at_most "events off" "$without"
echo on_demand >/sys/module/page_pin_owner/parameters/arming
arm
at_most "events on, on demand, nothing marked" "$without"
echo always >/sys/module/page_pin_owner/parameters/arming
wait_for 5 grep -qx armed=1 "$D/stats"
at_most "events on, nothing marked" 40
hold --memory shmem --by vmsplice
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
check "a page is marked" test "$(stat marks)" -eq 1
at_most "events on, a page marked elsewhere" 48
release
unhold
at_most "recorded, and as an event with its stack" 9000 --marked --mib 16
echo 0 >"$T/options/stacktrace"
at_most "recorded, and as an event" 1700 --marked --mib 16
echo 0 >"$EVENTS/page_pin_owner_put/enable"
at_most "recorded, with the handle of its stack" 1000 --marked --mib 16
echo clear >"$D/mark"

# A part of CMA that nobody else can have
taken=$(ppo-cost take)
echo 65536 >"$CMA/alloc"
echo "$(cat "$CMA/base_pfn") 65536" >"$D/watch"
at_most "pages watched elsewhere, nothing marked" 50
at_most "pages watched elsewhere, a get" "$(awk "BEGIN { print $taken + 35 }")" take
echo clear >"$D/watch"
echo 65536 >"$CMA/free"
echo "0 $(pages_in_all)" >"$D/watch"
at_most "watched" 2600 --mib 16
at_most "watched, a get" 2300 take --mib 16
echo clear >"$D/watch"
disarm
at_most "events off again" "$without"
finish
