#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Attaching is one transaction. Each allocation on its way is made to fail in
# turn: the writer gets the error, no hook stays, and the next try works.
# vm: --failing-allocations
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# The functions that are watched
FUNCTIONS="folio_isolate_lru migrate_pages putback_movable_pages test_pages_isolated
soft_offline_page unpoison_memory"

# hooks: how many of them are
hooks() {
	# shellcheck disable=SC2086 # words
	printf '^%s \n' $FUNCTIONS | grep -c -f - "$T/enabled_functions"
}

plan 14
load || give_up "the module does not load"
F=/sys/kernel/debug/failslab
echo N >$F/ignore-gfp-wait
echo 0 >$F/verbose
# Enabling an event also has the kernel trace the names of tasks, which does not
# bear it when that fails (a WARNING when the event is disabled).
echo 0 >"$T/options/record-cmd"

refused=0 half=0 survived=0

# attach_failing: enable an event, with the first allocation failing, then with the
# second, until none is left that could
attach_failing() {
	local nth=0 result

	left=0
	while [ "$left" -eq 0 ] && [ $nth -lt 1000 ]; do
		nth=$((nth + 1))
		# Counts down with this shell's allocations; 0 once one was made to fail.
		echo $nth >/proc/self/fail-nth
		if echo 1 2>/dev/null >"$EVENTS/page_pin_owner_put/enable"; then
			result=1
		else
			result=0
		fi
		read -r left </proc/self/fail-nth
		echo 0 >/proc/self/fail-nth
		{ attached $result && [ "$(hooks)" -eq $(($(echo "$FUNCTIONS" | wc -w) * result)) ]; } || half=$((half + 1))
		if [ $result -eq 0 ]; then
			refused=$((refused + 1))
		else
			survived=$((survived + 1))
			echo 0 >"$EVENTS/page_pin_owner_put/enable"
		fi
		[ "$(hooks)" -eq 0 ] || half=$((half + 1))
	done
	echo "# up to now $refused refused, $survived enabled"
}

# was_refused HOOK: the log says so
was_refused() {
	dmesg | grep -q "page_pin_owner: cannot attach to $1, error -12; the event stays off"
}

HOOKS="mm_page_free
page_ref_mod\*
memory_failure_event
mm_compaction_isolate_migratepages
mm_migrate_pages
migrate_pages() and other functions"

all_were_refused() {
	echo "$HOOKS" | while read -r hook; do
		was_refused "$hook" || return 1
	done
}

# The first time it also makes the pools for stacks, without which it can do: they
# are there for good then, and the second time all depends on the hooks. Which allocation
# is the nth is not the same each time, less so on the debug kernel.
attach_failing
attach_failing
for _ in 3 4 5 6 7 8; do
	all_were_refused || attach_failing
done
check "every allocation was made to fail in turn" test "$left" -gt 0
check "stacks that find no room do not refuse the event" test $survived -gt 10
check "never are some hooks attached and others not" test $half -eq 0
while read -r hook; do
	check "$hook was refused and the log says so" was_refused "$hook"
done <<END
$HOOKS
END

# watch_failing: the same for who watches a page, with no event on
watch_failing() {
	local nth=0

	left=0
	while [ "$left" -eq 0 ] && [ $nth -lt 1000 ]; do
		nth=$((nth + 1))
		echo $nth >/proc/self/fail-nth
		if echo 1 2>/dev/null >"$D/watch"; then
			result=1
		else
			result=0
		fi
		read -r left </proc/self/fail-nth
		echo 0 >/proc/self/fail-nth
		[ "$(stat watched_pages)" -eq $result ] || half=$((half + 1))
		[ $result -eq 1 ] || [ "$(stat ledger_bytes)" -eq 0 ] || half=$((half + 1))
		echo clear >"$D/watch"
	done
}

# watch_refused HOOK: how often the log says so
watch_refused() {
	dmesg | grep -c -F "page_pin_owner: watch: cannot attach to $1, error -12"
}

half=0
# shellcheck disable=SC2034 # once for the pools of stacks
for try in 1 2; do
	watch_failing
done
echo "# watch: page_ref_* refused $(watch_refused 'page_ref_*') times"
check "watch: every allocation was made to fail in turn" test "$left" -gt 0
check "watch: it is all or nothing" test $half -eq 0
check "watch: mm_page_free was refused and the log says so" test "$(watch_refused mm_page_free)" -gt 0
check "watch: so was each of page_ref_*" test "$(watch_refused 'page_ref_*')" -ge 6
arm
hold --memory shmem --by vmsplice
cma_alloc_all 2>/dev/null
check "after all that it works" grep -q report_page_pinners: "$T/trace"
release
unhold
disarm
finish
