#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Direct compaction, by one who wants a huge page, of memory in which somebody holds most
# of the pages that could make room. What fails in masses is counted, whether it is
# reported or not.
# vm: --mem 768 --smp 1 --append cma=0
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

POOL=/proc/sys/vm/nr_hugepages

# Of four pages side by side one can be moved, and most of the others are held; what is
# free in larger pieces hugetlb has.
fragment() {
	local free

	hold --memory shmem --by none --pages 80000 --quiet
	MOVABLE=$HOLDER
	exec 8>&9
	mv /tmp/holder.out /tmp/movable.out
	echo 1000 >$POOL
	free=$(vmstat nr_free_pages)
	echo thin 4 >&8
	wait_for 100 grep -q ok /tmp/movable.out
	[ "$(vmstat nr_free_pages)" -gt $((free + 50000)) ] || give_up "memory is not free in pieces"
	hold --memory shmem --by vmsplice --pages 45000
	# Nobody tries to compact if that would not be left over.
	echo 4096 >/proc/sys/vm/min_free_kbytes
}

# unfragment: have it as it was before
unfragment() {
	unhold
	exec 8>&-
	wait "$MOVABLE"
	echo 0 >$POOL
}

# One asks for more huge pages for hugetlb, the other one wants some for its memory.
administrator() {
	echo $(($(cat $POOL) + 100)) >$POOL
}

program() {
	ppo-pin --memory thp --by none --pages 4096 --quiet </dev/null >/dev/null
}

# provoke: have both of them ask until a page fails by their doing, and enough fail to have
# some that are not reported: where compaction failed it does not look again for a while,
# and the kernel's own thread that compacts may have been there before
provoke() {
	local tries=0 provoked=0

	# Compaction goes on, and who failed last on a page is what the table has: it is asked once.
	until enough && provoked=1 || [ $tries -eq 5 ]; do
		tries=$((tries + 1))
		failures || echo clear >"$D/mark"
		program
		enough || administrator
	done
	echo "# $tries tries, $(stat marked) marked, $(wc -l </tmp/failures) pages by $(sed -n '1s/.* comm=\([^ ]*\) .*/\1/p' /tmp/failures)"
	[ $provoked -eq 1 ]
}

# failures: pages that one of them could not move; one at least
failures() {
	grep -E "^pfn=.* reason=compaction .* comm=(sh|ppo-pin) " "$D/marked" >/tmp/failures
}

# enough: and more pages than may be reported in two seconds
enough() {
	failures && [ "$(stat marked)" -gt 20 ]
}

# others_are_counted: each that was marked is a report, or a lost one
others_are_counted() {
	awk -F = '
		$1 ~ /^(lost_)?reports$/ { n += $2 }
		$1 == "marked" { marked = $2 }
		END { exit n < marked }' "$D/stats"
}

# all_are_held: the pages that failed are HOLDER's, the first twenty at least
all_are_held() {
	sed 's/^pfn=\([^ ]*\) .*/\1/' /tmp/failures | head -n 20 >/tmp/pfns
	sed -n 's/^pinned //p' /tmp/holder.out | tr ' ' '\n' | sed 's/pfn=//' >/tmp/held
	[ -s /tmp/pfns ] && ! grep -v -x -F -f /tmp/held /tmp/pfns
}

# stack_of_failure FUNCTION: it is in the stack of the first of them
stack_of_failure() {
	sed -n "/^stack=$(sed -n '1s/.* stack=\([0-9]*\).*/\1/p' /tmp/failures) /,/^\$/p" "$D/stacks" >/tmp/stack
	cat /tmp/stack
	grep -q -E "^ ($1)(\\.[a-z0-9.]+)?\\+" /tmp/stack
}

plan 10
load report_rate=10 || give_up "the module does not load"
echo always >/sys/kernel/mm/transparent_hugepage/defrag
# The kernel's own thread that compacts is the last to run. What is free is counted as that,
# and not in lists of the processor's.
renice -n 19 -p "$(pidof kcompactd0)"
echo 1000 >/proc/sys/vm/percpu_pagelist_high_fraction
seconds=$(date +%s)
arm
# Where the kernel has looked in vain, it may pass over all of these blocks from then on.
for _ in 1 2 3 4 5; do
	fragment
	provoke && break
	unfragment
done
check_grep "what could not be moved is marked" \
	"order=0 reason=compaction stage=(migrate|isolate) .* stack=[1-9]" /tmp/failures
check "the stack is that of an allocation" stack_of_failure __alloc_pages_direct_compact
check "of the one who asked" stack_of_failure \
	"do_huge_pmd_anonymous_page|set_max_huge_pages|hugetlb_sysctl_handler.*"
check "somebody holds each of these pages" all_are_held

seconds=$(($(date +%s) - seconds + 1))
echo "# $(stat marked) marked, $(stat reports) reported in $seconds s"
check "more pages fail than may be reported in a second" test "$(stat marked)" -gt 20
check "no more are reported than that" test "$(stat reports)" -le $(((seconds + 1) * 10))
check "the other reports are counted" others_are_counted
check "no mark or put was lost" \
	test "$(stat lost_marks_full) $(stat lost_marks_nomem) $(stat lost_nested) $(stat lost_put_stacks)" = "0 0 0 0"

release
sed '/^$/q' "$D/holders" >/tmp/first
check_grep "the table of holders begins with the one who let go" \
	"^folios=[0-9]+ .* reasons=compaction .* comm=ppo-pin class=holder " /tmp/first
check_grep "with the function that did it" "^ page_cache_pipe_buf_release\+" /tmp/first
unhold
disarm
finish
