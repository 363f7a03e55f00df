#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# migrate_pages() runs out of memory for the copies and gives up. Folios that it never
# tried are not marked, although somebody holds them: no more than the kernel counts.
# vm: --nodes 2 --append cma=0 --failing-allocations
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

NODE1=/sys/devices/system/node/node1

# no_memory COMMAND...: it fails for want of memory
no_memory() {
	! "$@" 2>/tmp/error && grep -q 'ENOMEM\|Cannot allocate memory\|Out of memory' /tmp/error
}

plan 8
# All of node 1 but 32 MiB goes to hugetlb.
free=$(sed -n 's/.*MemFree: *\([0-9]*\) kB/\1/p' $NODE1/meminfo)
echo $(((free - 32768) / 2048)) >$NODE1/hugepages/hugepages-2048kB/nr_hugepages
load || give_up "the module does not load"

# The rest of it goes to folios of which a pipe has the first ones.
hold --memory shmem --by none --pages 30000 --quiet
MOVED=$HOLDER
exec 8>&9
mkfifo /tmp/pipe
exec 7<>/tmp/pipe
cat "/proc/$MOVED/map_files/$(sed -n 's, .*/memfd:.*,,p' "/proc/$MOVED/maps")" >&7 &
CAT=$!
# It sleeps when its 16 pages are in there.
wait_for 5 grep -q pipe_w "/proc/$CAT/stack" || give_up "the pipe is not full"
before=$(vmstat pgmigrate_fail)
arm
check "some are held: the node is full" no_memory ppo-move "$MOVED" 0 1
echo "# $(($(vmstat pgmigrate_fail) - before)) failed, says the kernel; $(sum 'marked|repeated') marked"
check "the kernel counts them, and one for which there was no memory" \
	test $(($(vmstat pgmigrate_fail) - before)) -eq 17
check "what it had tried in vain is marked" test "$(sum 'marked|repeated')" -eq 16
kill "$CAT"
exec 7>&-

hold --memory shmem --by vmsplice --pages 3000 --quiet
before=$(sum 'marked|repeated')
failed_pages=$(vmstat pgmigrate_fail)
check "all held: the node is full" no_memory ppo-move "$HOLDER" 0 1
failed_pages=$(($(vmstat pgmigrate_fail) - failed_pages))
echo "# $failed_pages failed, says the kernel; $(($(sum 'marked|repeated') - before)) marked"
check "the kernel never tried most of them" test "$failed_pages" -lt 1500
check "no more are marked than it counts" test $(($(sum 'marked|repeated') - before)) -le "$failed_pages"
check "what it could not tell is none" test "$(stat lost_tried)" -eq 0

echo 0 >$NODE1/hugepages/hugepages-2048kB/nr_hugepages
arm
before=$(sum 'marked|repeated')
ppo-move "$HOLDER" 0 1 >/dev/null
check "with memory all of them are marked" test $(($(sum 'marked|repeated') - before)) -eq 3000
release
unhold
exec 8>&-
disarm
finish
