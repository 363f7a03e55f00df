#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# While folios fail in masses the machine stays responsive: how late a task of the
# highest priority is woken, at most, in instructions.
# vm: --icount --tools --mem 2048 --nodes 2 --append cma=0
# debug: never, how long this kernel keeps a processor says nothing
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/latency.sh

# storm: have all 60 000 fail in one system call, with the delay in $delay
storm() {
	delay=$(latest ppo-move "$HOLDER" 0 1)
	echo "# $1: $delay us"
}

plan 6
if ! command -v cyclictest >/dev/null; then
	for _ in 1 2 3 4 5 6; do
		skip "nobody waits for long" "no cyclictest here"
	done
	finish
fi
hold --memory shmem --by vmsplice --pages 60000 --quiet
storm "without the module"
check "the kernel alone keeps others waiting" test "$delay" -gt 0
alone=$delay
load || give_up "the module does not load"
arm
# The kernel's own unwinding for each event is not what is measured.
echo 0 >"$T/options/stacktrace"
storm "folios are marked"
check "32768 of them" test "$(stat marked)" -eq 32768
check "nobody waits for more than 250 ms longer" test "$delay" -le $((alone + 250000))
storm "folios fail again"
check "all of them" test "$(stat repeated)" -eq 32768
check "nobody waits for more than 150 ms longer" test "$delay" -le $((alone + 150000))
check "no put was lost" test "$(stat lost_nested) $(stat lost_put_stacks)" = "0 0"
disarm
release
unhold
finish
