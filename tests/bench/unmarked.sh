#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# unmarked.sh [ROW]: what it costs to let go of a page that is not marked. With ROW, a name,
# on this kernel as it is; else without and with the module, in each of its states, and
# with what else one could use; and that of one that is watched.
# shellcheck shell=dash source-path=SCRIPTDIR/../scenarios

. ./lib.sh
. ./lib/mark-all.sh

# row NAME: a row of the table
row() {
	check "$1" sh -c "ppo-cost get pin fork unmap touch >/tmp/costs"
	# shellcheck disable=SC2046 # numbers
	echo "# bench unmarked: $1:" $(cat /tmp/costs)
}

# Folios of one page each
echo never >/sys/kernel/mm/transparent_hugepage/enabled
if [ $# -gt 0 ]; then
	plan 1
	row "$1"
	finish
fi
plan 11

row "nothing on"
echo 'pfn == 0xffffffffffff' >"$T/events/page_ref/filter"
echo 1 >"$T/events/page_ref/page_ref_mod_and_test/enable"
row "page_ref event, filter that matches nothing"
echo 0 >"$T/events/page_ref/enable"

rm -f /tmp/bpf.in
mkfifo /tmp/bpf.in
ppo-bpf /put.bpf.o </tmp/bpf.in >/tmp/bpf.out 2>&1 &
exec 8>/tmp/bpf.in
wait_for 20 grep -q . /tmp/bpf.out
grep -q attached /tmp/bpf.out || give_up "$(cat /tmp/bpf.out)"
row "BPF program, look-up in a hash"
exec 8>&-
wait $!

load report_rate=0 || give_up "the module does not load"
row "loaded, events off"
echo on_demand >/sys/module/page_pin_owner/parameters/arming
arm
row "events on, on demand, nothing marked"
echo always >/sys/module/page_pin_owner/parameters/arming
wait_for 5 grep -qx armed=1 "$D/stats"
row "events on, nothing marked"
hold --memory shmem --by vmsplice
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
[ "$(stat marks)" -eq 1 ] || give_up "$(stat marks) marks"
row "one folio marked elsewhere"
release
unhold
hold --memory shmem --by none --pages 10000 --anywhere
mark_all "$PFNS"
[ "$(stat marks)" -eq 10000 ] || give_up "$(stat marks) marks"
row "10 000 folios marked elsewhere"
unhold
echo clear >"$D/mark"
# A part of CMA that nobody else can have
echo 65536 >"$CMA/alloc"
echo "$(cat "$CMA/base_pfn") 65536" >"$D/watch"
row "256 MiB watched elsewhere, nothing marked"
echo clear >"$D/watch"
echo 65536 >"$CMA/free"
echo "0 $(pages_in_all)" >"$D/watch"
row "watched"
echo clear >"$D/watch"
disarm
check "no mark, stack or put was lost" no_losses
finish
