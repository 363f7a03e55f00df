#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# arming=on_demand: puts are watched once a folio is marked, and no longer some seconds
# after the last one is not; what is let go of before that is counted.
# vm: --smp 1
# debug: quick
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

P=/sys/module/page_pin_owner/parameters

armed() {
	[ "$(stat armed)" -eq "$1" ]
}

# stays SECONDS COMMAND...: it succeeds for as long as that; later it need not
stays() {
	local end=$(($(uptime_ms) + $1 * 1000))
	shift

	while [ "$(uptime_ms)" -lt "$end" ]; do
		"$@" || [ "$(uptime_ms)" -ge "$end" ] || return 1
	done
}

# at_once LINE...: have ppo-pin do all that; if it is urgent nobody else does anything
# meanwhile on this only processor, as the work item that attaches the probes
at_once() {
	printf '%s\n' "$@" >&9
}

plan 25
# What is urgent stays so.
no_fair_server
load arming=on_demand || give_up "the module does not load"
arm
check "enabled, and nothing marked: attached" attached 1
check "but puts are not watched" armed 0
hold --memory shmem --by vmsplice
check "the allocation fails" fails cma_alloc_all
check "then they are" wait_for 2 armed 1
check "the page is marked" is_marked "$PFNS"
release
check "its put is recorded" let_go ppo-pin "$PFNS" 1 "$PIPE" pipe_release
check "nothing was lost" no_losses
check "they are as long as it is marked" stays 8 armed 1
unhold
check "and for some seconds more" stays 3 armed 1
check "then no longer" wait_for 15 armed 0
disarm

arm
hold --memory shmem --by vmsplice --urgent
at_once "madvise soft_offline" release
check "a holder lets go before puts are watched" wait_for 20 grep -q '^released' /tmp/holder.out
check "its page is marked" is_marked "$PFNS"
check "and puts are watched now" wait_for 2 armed 1
check "that one was not seen" fails event page_pin_owner_put "$PFNS"
check "it is counted" test "$(stat lost_unarmed_puts)" -eq 1
unhold
check "the end of its story is told" test "$(event page_pin_owner_free "$PFNS" | wc -l)" -eq 1
disarm

arm
hold --memory shmem --by vmsplice --urgent
at_once "madvise soft_offline"
unhold
check "a page that is freed before that counts, too" test "$(stat lost_unarmed_puts)" -eq 2
check "and its story is over" fails is_marked "$PFNS"

hold --memory shmem --by vmsplice --urgent
at_once "write $D/mark $PFNS" release
check "a page is marked by hand, and no work item can run" \
	wait_for 20 grep -q '^released' /tmp/holder.out
check "its put is recorded" let_go ppo-pin "$PFNS" 1 "$PIPE" pipe_release
unhold
check "they are not watched some seconds later" wait_for 15 armed 0

hold --memory shmem --by vmsplice --urgent
at_once "write $P/arming always" "madvise soft_offline" release
check "always: a page fails to move at once, and no work item can run" \
	wait_for 20 grep -q '^released' /tmp/holder.out
check "its put is recorded" let_go ppo-pin "$PFNS" 1 "$PIPE" pipe_release
check "neither counts as lost" test "$(stat lost_unarmed_puts)" -eq 2
unhold
echo on_demand >"$P/arming"
check "on demand again: no longer some seconds later" wait_for 15 armed 0
disarm
finish
