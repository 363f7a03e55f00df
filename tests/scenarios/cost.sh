#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the put of a page costs that is not marked, in guest instructions. They
# are counted, not timed: a run on another machine gives the same figures.
# vm: --icount --timeout 240
# debug: never, its figures are those of the lab kernel
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# at_most NAME LIMIT: a put in the loop of gup_test costs at most that many
at_most() {
	local cost

	cost=$(ppo-cost get)
	echo "# $1: $cost instructions"
	# The timer's tick adds a few tenths.
	check "$1: at most $2" awk "BEGIN { exit !($cost <= $2 + 0.5) }"
}

plan 5
without=$(ppo-cost get)
echo "# not loaded: $without instructions"
load || give_up "the module does not load"
at_most "events off, as without the module" "$without"
arm
at_most "events on, nothing marked" 40
hold --memory shmem --by vmsplice
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
check "a page is marked" test "$(stat marks)" -eq 1
at_most "events on, a page marked elsewhere" 48
release
unhold
disarm
at_most "events off again" "$without"
finish
