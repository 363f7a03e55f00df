#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The main job: a CMA allocation fails on a pinned page. It is reported with the
# stage at which it failed, the put that lets the pin go is recorded with the
# function that did it, and when the page is freed its story ends.
# debug: quick
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# MEMORY PIN STAGE REFS FUNCTION: which stage fails, how many references the pin
# is, and which function lets it go (unpin_user_pages_dirty_lock() calls
# unpin_user_pages() last, so that it depends on the compiler which one is seen)
CASES="
shmem vmsplice migrate    1 page_cache_pipe_buf_release
anon  vmsplice isolate    1 page_cache_pipe_buf_release
shmem gup      migrate 1024 unpin_user_pages(_dirty_lock)?
anon  gup      isolate 1024 unpin_user_pages(_dirty_lock)?
"

one_case() {
	local memory=$1 by=$2 stage=$3 refs=$4 function=$5 name="$1 pinned by $2"

	hold --memory "$memory" --by "$by"
	pfn=${PFNS%% *}
	arm
	before=$(sum 'marked|repeated')
	check "$name: the allocation fails" fails cma_alloc_all
	event report_page_pinners "$pfn" >/tmp/reports
	check_grep "$name: reported with reason and stage" \
		"reason=contig_range err=-?[1-9][0-9]* stage=$stage expected=[0-9]+ order=0 stack=[1-9]" \
		/tmp/reports
	count=$(field count </tmp/reports | head -n 1)
	expected=$(field expected </tmp/reports | head -n 1)
	check "$name: $refs more than expected" test $((count - expected)) -eq "$refs"
	check "$name: the report's stack leads to the allocation" \
		stack_has "report_page_pinners: pfn=$pfn " cma_alloc_write
	check "$name: its handle too" handle_has "$(field stack </tmp/reports | head -n 1)" \
		"$([ "$stage" = migrate ] && echo migrate_pages || echo test_pages_isolated)"
	check "$name: it is in the table" grep -q "^pfn=$pfn .* stage=$stage " "$D/marked"
	check "$name: each failure is an attempt" \
		grep -q "^pfn=$pfn .* attempts=$(($(sum 'marked|repeated') - before)) " "$D/marked"
	check "$name: all of them are one report" test "$(wc -l </tmp/reports)" -eq 1

	echo >"$T/trace"
	release
	# process_vm_readv is a thread of its own in ppo-pin.
	event page_pin_owner_put "$pfn" | grep -E "$(by 'ppo-(pin|gup)').* refs=$refs " >/tmp/puts
	check_grep "$name: the put is recorded" "reason=contig_range stage=$stage refs=$refs" /tmp/puts
	check "$name: its stack names the function" \
		stack_has "$(by 'ppo-(pin|gup)').*page_pin_owner_put: pfn=$pfn .* refs=$refs " "$function"
	check "$name: its handle too" handle_has "$(field stack </tmp/puts | head -n 1)" "$function"

	unhold
	event page_pin_owner_free "$pfn" >/tmp/frees
	check_grep "$name: the free ends the story" "puts=[1-9][0-9]* age_us=[1-9][0-9]* cause=freed" \
		/tmp/frees
	check "$name: no longer marked" fails grep -q "^pfn=$pfn " "$D/marked"
	succeeds_now "$name: the allocation" cma_alloc_all
	disarm
}

plan $((4 * 14 + 9))
load || give_up "the module does not load"
arm
depot_bytes=$(stat depot_bytes)
disarm

echo "$CASES" | grep -v '^$' >/tmp/cases
while read -r memory by stage refs function <&8; do
	one_case "$memory" "$by" "$stage" "$refs" "$function"
done 8</tmp/cases

check "the depot was refilled behind the hot path" test "$(stat depot_bytes)" -gt "$depot_bytes"
check "no mark, stack or put was lost" no_losses

# unwindings: how often a stack of migrate_pages() was saved, from wherever it was
# called (gcc 14 peels the loop around it)
unwindings() {
	awk '
		/^stack=/ { hits = substr($2, 6); first = 1; next }
		first && /^ migrate_pages\+0x0\// { n += hits }
		{ first = 0 }
		END { print n + 0 }' "$D/stacks"
}

# Several folios fail in one call of migrate_pages(). The kernel counts them itself.
# It gives up with the first lot that it has isolated if there is one; pages behind that
# are found by a look at the range, and are not in its count.
hold --memory shmem --by vmsplice --pages 64
arm
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
before=$(unwindings)
echo clear >"$D/mark"
echo 1 >"$T/events/migrate/mm_migrate_pages/enable"
echo >"$T/trace"
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
echo 0 >"$T/events/migrate/mm_migrate_pages/enable"
grep -o 'mm_migrate_pages: .* nr_failed=[1-9][0-9]* ' "$T/trace" >/tmp/calls
calls=$(wc -l </tmp/calls)
counted=$(awk -F 'nr_failed=' '{ n += $2 } END { print n + 0 }' /tmp/calls)
echo "# $counted failures in $calls calls"
seen=$(awk '/ stage=migrate / { sub(/.* attempts=/, ""); n += $1 } END { print n + 0 }' "$D/marked")
check "each failure that the kernel counts is seen" test "$seen" -eq "$counted"
check "more than one to a call" test "$counted" -gt "$calls"
check "one unwinding to a call" test $(($(unwindings) - before)) -eq "$calls"
release
unhold
disarm

for memory in shmem anon; do
	hold --memory "$memory" --by none
	pfn=${PFNS%% *}
	arm
	succeeds_now "$memory not pinned: the allocation" cma_alloc_all
	check "$memory not pinned: nothing is reported" nothing_reported "$pfn"
	unhold
	disarm
done
finish
