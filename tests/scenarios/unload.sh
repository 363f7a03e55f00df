#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Loading with bad parameters fails and says why. Unloading is refused while it
# would harm a user, and otherwise leaves nothing behind.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

loaded() {
	test -e /sys/module/page_pin_owner
}

# busy: rmmod is refused, as the module is in use, and all goes on
busy() {
	! rmmod page_pin_owner 2>/tmp/rmmod.log &&
		grep -qi 'resource temporarily unavailable\|busy' /tmp/rmmod.log && loaded
}

# gone: the module unloads and nothing of it is left
gone() {
	rmmod page_pin_owner && ! loaded && ! test -e "$D" && ! test -e "$EVENTS" &&
		! grep -q 'migrate_pages\|test_pages_isolated' "$T/enabled_functions"
}

# refused PARAMETER LINE: insmod fails and the log has LINE
refused() {
	dmesg -c >/dev/null
	! load "$1" 2>/dev/null && ! loaded && dmesg | grep -q "page_pin_owner: $2"
}

plan 24

check "max_marks=0 is refused" refused max_marks=0 'max_marks=0 is out of range, 1 to 1048576'
check "stack_depth=65 is refused" refused stack_depth=65 'stack_depth=65 is out of range, 1 to 64'
check "depot_kib=63 is refused" refused depot_kib=63 'depot_kib=63 is out of range, 64 to 262144'
check "watch_kib=63 is refused" refused watch_kib=63 'watch_kib=63 is out of range, 64 to 16777216'
check "reasons=nonsense is refused" refused reasons=nonsense "reasons: accepted is 'all' or"

check "good parameters are taken" load max_marks=1 stack_depth=3 depot_kib=64 reasons=compaction
check "and shown" grep -qx compaction /sys/module/page_pin_owner/parameters/reasons
check "it unloads" gone

load
arm
hold --memory shmem --by vmsplice
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
check "with events enabled and a page marked: refused" busy
check "and the trace is still there" grep -q report_page_pinners: "$T/trace"
disarm
check "with the events disabled it unloads" gone
check "the pinned page is none the worse" release
unhold

load
echo 'hist:keys=reason' >"$EVENTS/report_page_pinners/trigger"
check "with a hist trigger: refused" busy
echo '!hist:keys=reason' >"$EVENTS/report_page_pinners/trigger"
arm
disarm

exec 7<"$D/stats"
check "with a table open: refused" busy
exec 7<&-

cat "$T/trace_pipe" >/tmp/pipe.log &
reader=$!
hold --memory anon --by vmsplice
arm
cma_alloc_all 2>/dev/null
wait_for 5 grep -q report_page_pinners: /tmp/pipe.log
check "trace_pipe shows the events" grep -q report_page_pinners: /tmp/pipe.log
disarm
check "with trace_pipe open it unloads" gone
check "and trace_pipe can be read on" kill -0 $reader
kill $reader
release
unhold

# watch_area: the CMA area is watched, for the figures 13 MiB and more
watch_area() {
	echo "$(cat "$CMA/base_pfn") $(cat "$CMA/count")" >"$D/watch"
}

load
watch_area
hold --memory shmem --by vmsplice
check "pages are watched, and one of them held" grep -q "^pfn=$PFNS " "$D/ledger"
check "that is no use of the module" grep -qx 0 /sys/module/page_pin_owner/refcnt
check "while pages are watched it unloads" gone
check "the held page is none the worse" release
unhold

unreclaimable() {
	sed -n 's/^SUnreclaim: *\([0-9]*\) kB/\1/p' /proc/meminfo
}

watch_and_unload() {
	for _ in $(seq 20); do
		load && watch_area && rmmod page_pin_owner || return 1
	done
	kib=$(($(unreclaimable) - kib))
	echo "$kib KiB more"
	[ "$kib" -lt 8192 ]
}
kib=$(unreclaimable)
check "loaded, watching and unloaded 20 times, with all memory back" watch_and_unload

load_and_unload() {
	for _ in $(seq 30); do
		load && arm && disarm && rmmod page_pin_owner || return 1
	done
}
check "loaded, enabled, disabled and unloaded 30 times" load_and_unload
check "nothing is left" fails loaded
finish
