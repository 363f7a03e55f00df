#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The events behave as any event of the kernel: their fields are the documented
# ones, filters, hist triggers and instances work, and the parameter reasons
# chooses what is marked at all.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

REASONS=/sys/module/page_pin_owner/parameters/reasons

# print_fmt EVENT: the fields of an event as its format prints them
print_fmt() {
	sed -n 's/^print fmt: "\([^"]*\)".*/\1/p' "$EVENTS/$1/format"
}

# fail_once: one page pinned by vmsplice makes a CMA allocation fail; it stays held
fail_once() {
	hold --memory "${1:-shmem}" --by vmsplice
	! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
}

# let_go: the page of fail_once is released and freed
let_go() {
	release
	unhold
}

# count PATTERN [FILE]: lines that match, in the trace if no file is named
count() {
	grep -c -e "$1" "${2:-$T/trace}"
}

rejected() {
	local before

	before=$(cat "$REASONS")
	dmesg -c >/dev/null
	! echo "$1" 2>/dev/null >"$REASONS" &&
		[ "$(cat "$REASONS")" = "$before" ] &&
		dmesg | grep -q "page_pin_owner: reasons: accepted is .* compaction .* contig_range .* hwpoison manual"
}

plan 32
load || give_up "the module does not load"

head="pfn=0x%lx flags=%s count=%d mapcount=%d mapping=%p mt=%d"
check "report_page_pinners has its fields in order" test "$(print_fmt report_page_pinners)" = \
	"$head reason=%s err=%d stage=%s expected=%d order=%u stack=%u%s%s"
check "page_pin_owner_put has its fields in order" test "$(print_fmt page_pin_owner_put)" = \
	"$head reason=%s stage=%s refs=%d age_us=%llu last=%d stack=%u"
check "page_pin_owner_free has its fields in order" test "$(print_fmt page_pin_owner_free)" = \
	"pfn=0x%lx reason=%s stage=%s puts=%u age_us=%llu cause=%s"

check "loaded: nothing is attached" attached 0
for event in report_page_pinners page_pin_owner_put page_pin_owner_free; do
	arm $event
	check "$event enabled: attached" attached 1
	disarm
	check "$event disabled: detached" attached 0
done

arm
echo 'reason == "contig_range"' >"$EVENTS/report_page_pinners/filter"
fail_once
check "a filter for the reason lets it pass" test "$(count report_page_pinners:)" -gt 0
let_go
arm
echo 'reason == "compaction" || stage == "isolate"' >"$EVENTS/report_page_pinners/filter"
fail_once
check "a filter for another reason does not" test "$(count report_page_pinners:)" -eq 0
echo 0 >"$EVENTS/report_page_pinners/filter"
let_go

arm
echo 'age_us > 3600000000' >"$EVENTS/page_pin_owner_put/filter"
fail_once
check "a put that is younger than an hour does not pass a filter for that" \
	test "$(count page_pin_owner_put:)" -eq 0
echo 'age_us > 300000' >"$EVENTS/page_pin_owner_put/filter"
sleep 0.5
let_go
check "one that is older than the filter says does" test "$(count page_pin_owner_put:)" -gt 0
echo 0 >"$EVENTS/page_pin_owner_put/filter"
disarm

echo 'hist:keys=reason,stage' >"$EVENTS/report_page_pinners/trigger"
check "a hist trigger alone attaches" attached 1
fail_once shmem
let_go
fail_once anon
let_go
hist=$EVENTS/report_page_pinners/hist
check_grep "hist counts migrate" 'reason: contig_range +, stage: migrate +} hitcount: +[1-9]' "$hist"
check_grep "hist counts isolate" 'reason: contig_range +, stage: isolate +} hitcount: +[1-9]' "$hist"
echo '!hist:keys=reason,stage' >"$EVENTS/report_page_pinners/trigger"
check "without it, detached" attached 0

mkdir "$T/instances/one"
echo >"$T/trace"
echo 1 >"$T/instances/one/events/page_pin_owner/enable"
fail_once
let_go
check "an instance has the events" test "$(count report_page_pinners: "$T/instances/one/trace")" -gt 0
check "the top level has none of them" test "$(count report_page_pinners:)" -eq 0
arm
echo 0 >"$T/instances/one/events/page_pin_owner/enable"
check "one of two users gone: still attached" attached 1
rmdir "$T/instances/one"
disarm
check "both gone: detached" attached 0

check "reasons is all at first" grep -qx all "$REASONS"
echo compaction,memory_hotplug >"$REASONS"
check "reasons can be set" grep -qx compaction,memory_hotplug "$REASONS"
check "a wrong name is an error that lists the right ones" rejected contig
check "so is nothing" rejected ''
check "so is a list with a hole" rejected 'compaction,,contig_range'
arm
fail_once anon
check "other reasons are not marked" fails grep -q page_pinners "$T/trace"
echo contig_range >"$REASONS"
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
check "chosen at run time they are" test "$(count report_page_pinners:)" -gt 0
let_go
echo all >"$REASONS"

# On and off, while a page is pinned and allocations fail.
fail_once
for _ in $(seq 100); do
	echo 0 >"$EVENTS/enable"
	echo 1 >"$EVENTS/enable"
	cma_alloc_all 2>/dev/null
done
check "switched on and off 100 times, it still marks" grep -q "^pfn=${PFNS%% *} " "$D/marked"
disarm
check "and forgets when it is off" test "$(stat marks)" -eq 0
let_go
check "no mark, stack or put was lost" no_losses
finish
