#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Attaching is one transaction. Each allocation on its way is made to fail in
# turn: the writer gets the error, no hook stays, and the next try works.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

hooks() {
	grep -c 'migrate_pages\|test_pages_isolated' "$T/enabled_functions"
}

plan 5
load || give_up "the module does not load"
F=/sys/kernel/debug/failslab
echo N >$F/ignore-gfp-wait
echo 0 >$F/verbose

nth=0 refused=0 half=0 survived=0
while [ $nth -lt 2000 ]; do
	nth=$((nth + 1))
	# Counts down with this shell's allocations; 0 once one was made to fail.
	echo $nth >/proc/self/fail-nth
	if echo 1 2>/dev/null >"$EVENTS/page_pin_owner_put/enable"; then
		result=enabled
	else
		result=refused
	fi
	read -r left </proc/self/fail-nth
	echo 0 >/proc/self/fail-nth
	case $result in
	enabled)
		{ attached 1 && [ "$(hooks)" -eq 2 ]; } || half=$((half + 1))
		echo 0 >"$EVENTS/page_pin_owner_put/enable"
		[ "$left" -gt 0 ] && break
		survived=$((survived + 1))
		;;
	refused)
		refused=$((refused + 1))
		{ attached 0 && [ "$(hooks)" -eq 0 ]; } || half=$((half + 1))
		;;
	esac
	[ "$(hooks)" -eq 0 ] || half=$((half + 1))
done
echo "# $nth allocations: $refused failures refused the event, $survived did without"

check "every allocation was made to fail in turn" test "$left" -gt 0
check "some of them refuse the event" test $refused -gt 5
check "never are some hooks attached and others not" test $half -eq 0
check "the log says why" sh -c 'dmesg | grep -q "page_pin_owner: cannot attach to the kernel, error -12"'
arm
hold --memory shmem --by vmsplice
cma_alloc_all 2>/dev/null
check "after all that it works" grep -q report_page_pinners: "$T/trace"
release
unhold
disarm
finish
