#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the store's operations cost, in guest instructions. They are counted, not
# timed: a run on another machine gives the same figures. No module is loaded.
# vm: --icount
# debug: never, its figures are those of the lab kernel
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# Of each operation the most it may cost. A known stack: what the kernel's own
# stack_depot_save() takes; else what it took when this was written, and a third.
limits='save-known-4 234
save-known-7 358
save-known-11 534
save-known-16 722
save-new-4 260
save-new-7 320
save-new-11 350
save-new-16 370
put-stack 120
test-nothing-marked 9
test-marked-elsewhere 13
lookup-no-block 30
lookup-unmarked 55
lookup-marked 110
put-record 48
snapshot 150
mark-new 530
mark-again 250
mark-evict 960
forget 260'

# at_most NAME LIMIT: a line of what was measured says at most that
at_most() {
	local cost

	cost=$(sed -n "s/^$1 //p" /tmp/costs)
	# A tick in the loop would add a little.
	check "$1: at most $2" awk "BEGIN { exit !($cost <= $2 + 0.5) }"
}

plan "$(echo "$limits" | wc -l)"
ppo-cost-store >/tmp/costs || give_up "ppo-cost-store fails"
diag </tmp/costs
while read -r name limit; do
	at_most "$name" "$limit"
done <<END
$limits
END
finish
