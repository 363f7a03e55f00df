#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Memory offlining tries for ever: a folio that fails on and on is one report, and after a
# pause one more.
# vm: --mem 1536 --append "cma=0 movablecore=768M"
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/paths.sh

# attempts: how often the page has failed
attempts() {
	sed -n "s/^pfn=$pfn .* attempts=\([0-9]*\) .*/\1/p" "$D/marked"
}

# failed_often: it has, a hundred times since it had failed $1 times
failed_often() {
	[ "$(attempts || echo 0)" -ge $(($1 + 100)) ] 2>/dev/null
}

# offline: try to take the page's block offline until it has failed a hundred times more.
# There is no end to that but a signal, of which background shells ignore some.
offline() {
	local before often

	before=$(attempts)
	sh -c "echo offline >$BLOCK/state" 2>/dev/null &
	wait_for 60 failed_often "${before:-0}"
	often=$?
	kill -TERM $!
	wait $!
	grep -q online "$BLOCK/state" && [ "$often" -eq 0 ]
}

reports() {
	grep -c " report_page_pinners: pfn=$pfn " "$T/trace"
}

# bursts: how many reports there may be: one, and one more for each pause of nearly a second in
# which nothing happened to the page. The host may be the reason.
bursts() {
	awk -v page=": pfn=$pfn " '
		index($0, page) && match($0, / [0-9]+[.][0-9]+: /) {
			now = substr($0, RSTART) + 0
			if (last && now - last > 0.9)
				n++
			last = now
		}
		END { print 1 + n }' "$T/trace"
}

# is_told TIMES: there are so many reports, or as many more as there were pauses
is_told() {
	echo "$(reports) reports, $(bursts) bursts"
	[ "$(reports)" -ge "$1" ] && [ "$(reports)" -le "$(bursts)" ]
}

plan 9
load || give_up "the module does not load"
# Each attempt is a put as well.
echo 8192 >"$T/buffer_size_kb"
arm
# In the last block of all there may be memory of the kernel's: nothing of it is tried then.
# What gives pages of it is in use, and then what the processors still had of them.
LAST=$(printf "%s\n" "$MEMORY"/memory[0-9]* | sort -V | tail -n 1)
hold --memory shmem --by none --pages 40000 --quiet
BLOCK=$LAST
while [ "$BLOCK" = "$LAST" ]; do
	# Who held before holds on: this has its input open.
	sleep 1000 &
	hold --memory shmem --by vmsplice
	pfn=${PFNS%% *}
	BLOCK=$(block)
done
check "the block does not go offline" offline
check_grep "the page is reported" \
	"report_page_pinners: pfn=$pfn .* reason=memory_hotplug .* stage=migrate " "$T/trace"
echo "# $(attempts) attempts"
check "a hundred failures are one report" is_told 1
echo 1 >"$T/options/stacktrace"
# Longer than a burst may pause
sleep 2
check "after a pause, the block does not go offline" offline
check "which is one report more" is_told 2
echo >"$T/trace"
release
check "the holder's put is recorded" put_by ppo-pin "$pfn"
check "with the function that let go" \
	stack_has "$(by ppo-pin).*page_pin_owner_put: pfn=$pfn " page_cache_pipe_buf_release
unhold
check "then the block goes offline" sh -c "echo offline >$BLOCK/state"
echo online_movable >"$BLOCK/state"
disarm
check "no mark, stack or put was lost" no_losses
finish
