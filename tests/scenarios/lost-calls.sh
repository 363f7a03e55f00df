#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# More tasks inside migrate_pages() at once than the module can watch (256): it does not
# see what becomes of the rest, counts them, and does no harm. Each task waits there for
# the writeback of a page of its own, to a device that does not end it.
# vm: --nodes 2 --mem 2048 --append cma=0
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/paths.sh

TASKS=300
WATCHED=256

# lost AT_LEAST: so many calls were lost
lost() {
	[ "$(stat lost_calls)" -ge "$1" ]
}

# end PID...: each comes to an end of its own, its page moved (0) or not (1); how many
# did is in MOVED
end() {
	local pid status

	MOVED=0
	for pid; do
		status=0
		wait "$pid" || status=$?
		[ "$status" -le 1 ] || return 1
		MOVED=$((MOVED + 1 - status))
	done
}

# a_holder_is_named: a pinned page that cannot be moved is reported, and its put too
a_holder_is_named() {
	local pfn named=1

	hold --memory shmem --by vmsplice --node 1
	pfn=$PFNS
	! path_move_pages || give_up "a pinned page should not move"
	event report_page_pinners "$pfn" || named=0
	release
	put_by ppo-pin "$pfn" >/dev/null || named=0
	unhold
	[ "$named" -eq 1 ]
}

plan 9
load || give_up "the module does not load"
echo 8192 >"$T/buffer_size_kb"
# Two minutes are too long for a task to wait, for the kernel.
mount_files nbd 110
hold --memory file --by writeback --node 1 --pages $TASKS
echo 1 >/proc/sys/vm/drop_caches
# One page behind the other
address=$(address "${PFNS%% *}")
arm
movers=
for _ in $PFNS; do
	ppo-move-page "$HOLDER" "$address" 0 >/dev/null 2>&1 &
	movers="$movers $!"
	address=$((address + 4096))
done
check "the calls that could not be watched are counted" \
	wait_for 60 lost $((TASKS - WATCHED))
waiting=$(cat /proc/[0-9]*/stack 2>/dev/null | grep -c '\<migrate_pages+')
lost=$(stat lost_calls)
echo "# $waiting tasks wait inside migrate_pages(), $lost calls lost"
check "it is because of so many tasks inside migrate_pages()" \
	test "$waiting" -gt $WATCHED
check "no more calls are counted than there were tasks" test "$lost" -le $TASKS
release
# shellcheck disable=SC2086 # words
check "they all come to an end" end $movers
echo "# $MOVED of $TASKS pages moved"
check "and most pages have moved" test "$MOVED" -gt $((TASKS / 2))
unhold
umount_files
check "nothing else was lost" test "$(sum 'lost_.*')" -eq "$(stat lost_calls)"
lost=$(stat lost_calls)
check "then it sees all calls again" a_holder_is_named
check "none is lost" test "$(stat lost_calls)" -eq "$lost"
disarm
check "and what was lost stays counted" test "$(stat lost_calls)" -ge "$lost"
finish
