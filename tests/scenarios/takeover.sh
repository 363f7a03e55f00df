#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Others record puts of marked pages while pages are watched. Nothing is lost of a put that
# is under way when they take over: it is recorded by those who were there when it began,
# or by both.
# vm: --smp 2
# debug: quick
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

SLOW=/sys/module/ppo_slow/parameters

# amid_a_put TEXT: the holder puts a page that is marked, and before the probes of that are
# called TEXT is written to watch: for 3 seconds, or until that has ended
amid_a_put() {
	local end

	hold --memory shmem --by vmsplice
	# Who empties a batch that has the page puts it, too, and would wait.
	drain_lru
	echo "$PFNS" >"$D/mark"
	insmod /ppo_slow.ko "pfn=$PFNS" || give_up "ppo_slow does not load"
	echo release >&9
	wait_for 20 grep -q Y $SLOW/waiting || give_up "no put of $PFNS"
	echo "$1" >"$D/watch" &
	writer=$!
	end=$(($(uptime_ms) + 3000))
	while [ "$(uptime_ms)" -lt $end ] && kill -0 $writer 2>/dev/null; do
		usleep 100000
	done
	grep -q Y $SLOW/waiting || give_up "it has not waited"
	echo 1 >$SLOW/go
	wait $writer
	wait_for 20 grep -q '^released' /tmp/holder.out
	rmmod ppo_slow
}

plan 6
load || give_up "the module does not load"
arm
amid_a_put 0
check "a page is watched now" test "$(stat watched_pages)" -eq 1
check "what was put meanwhile is recorded" let_go ppo-pin "$PFNS" 1 "$PIPE" pipe_release
unhold
amid_a_put clear
check "no page is watched any more" test "$(stat watched_pages)" -eq 0
check "what was put meanwhile is recorded, too" let_go ppo-pin "$PFNS" 1 "$PIPE" pipe_release
unhold
disarm
check "nothing was lost" no_losses
check "unloaded" rmmod page_pin_owner
finish
