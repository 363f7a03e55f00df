#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The memo of the last stack, in the module ppo_memo: a stack that is told from it is the
# one which unwinding finds, however like to another the stacks are made.
# debug: quick
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# figure NAME LINE: its value in a line of the module's
figure() {
	echo "$2" | sed -n "s/.* $1=\([0-9]*\).*/\1/p"
}

plan $((5 * 4 + 1))
insmod /ppo_memo.ko rounds=4000 2>/tmp/insmod
check_grep "no stack was a wrong one" 'temporarily unavailable' /tmp/insmod
# Of the last try: insmod makes two.
dmesg | grep ' ppo_memo: .* wrong=' | tail -n 10 | tee /tmp/lines | diag
for kind in places sizes depths leftovers tracers; do
	once=$(grep " $kind, each 1 times: " /tmp/lines)
	again=$(grep " $kind, each 4 times: " /tmp/lines)
	check "$kind: none is wrong" test "$(figure wrong "$once")$(figure wrong "$again")" = 00
	check "$kind: others come at the same stack pointer" \
		test "$(figure tempted "$once")" -gt 20
	check "$kind: one that comes again is known" \
		test $((4 * $(figure known "$again"))) -gt "$(figure unwound "$again")"
	check "$kind: another one is unwound" test "$(figure unwound "$again")" -gt 10
done
finish
