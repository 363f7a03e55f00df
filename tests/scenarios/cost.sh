#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the put of a page costs, in guest instructions: of one that is not marked, and of
# one that is, many times from the same place. They are counted, not timed: a run on
# another machine gives the same figures.
# vm: --icount --timeout 240
# debug: never, its figures are those of the lab kernel
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# at_most NAME LIMIT [OPTION...]: a put in the loop of gup_test costs at most that many
at_most() {
	local name=$1 limit=$2 cost
	shift 2

	cost=$(ppo-cost get "$@")
	echo "# $name: $cost instructions"
	# The timer's tick adds a few tenths.
	check "$name: at most $limit" awk "BEGIN { exit !($cost <= $limit + 0.5) }"
}

# Folios of one page each
echo never >/sys/kernel/mm/transparent_hugepage/enabled
plan 9
without=$(ppo-cost get)
echo "# not loaded: $without instructions"
load || give_up "the module does not load"
at_most "events off, as without the module" "$without"
echo on_demand >/sys/module/page_pin_owner/parameters/arming
arm
at_most "events on, on demand, nothing marked: as without the module" "$without"
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
disarm
at_most "events off again" "$without"
finish
