#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Ways to fail that need no more than one node: a page in the CMA area is to be pinned for
# long, and has to leave it; a page is to be taken out of use. CMA itself is in cma.sh.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/reasons.sh

plan $((6 * CASE + 5))
load || give_up "the module does not load"
# A page that an allocation has taken off its list, and keeps while it waits for the end
# of writeback of another one. Who wants to pin it for long tries for as long.
mount_files nbd
mkfifo /tmp/other.in

# isolate: have an allocation do so with the page pfn, which OTHER holds. If the two lie too
# far apart it gives up before it comes to the page under writeback, or waits for that
# before it comes to pfn.
isolate() {
	hold --memory file --by writeback
	rm -f /tmp/other.out
	ppo-pin --memory shmem --by vmsplice </tmp/other.in >/tmp/other.out 9>&- &
	OTHER=$!
	exec 7>/tmp/other.in
	wait_for 20 test -s /tmp/other.out
	pfn=$(sed -n 's/^pinned pfn=//p' /tmp/other.out)
	cma_alloc_all 2>/dev/null &
	ALLOCATION=$!
	wait_for 2 it_waits
}

it_waits() {
	grep -q folio_wait_writeback "/proc/$ALLOCATION/stack" && is_off_lru "$pfn"
}

# is_off_lru PFN: the kernel says that it is on no list
is_off_lru() {
	kpageflags "$1" 1 | grep -q '[014589cd]. *$'
}

# let_go_again: end all that, to try again
let_go_again() {
	release
	wait "$ALLOCATION"
	exec 7>&-
	wait "$OTHER"
	unhold
}

tries=1
until isolate || [ $tries -eq 20 ]; do
	tries=$((tries + 1))
	let_go_again
done
echo "# $tries tries"
check "isolated by another: who waits" it_waits
# Each try is a put of its own.
echo "common_pid != $OTHER" >"$EVENTS/page_pin_owner_put/filter"
arm
echo longterm >&7
check "isolated by another: reported with reason and stage" wait_for 5 grep -q \
	"report_page_pinners: pfn=$pfn .* reason=longterm_pin err=0 stage=isolate expected=[0-9]* order=0" "$T/trace"
release
wait "$ALLOCATION"
check "isolated by another: the put's stack names the function" \
	stack_has "^ *[^ ]*-$ALLOCATION .*page_pin_owner_put: pfn=$pfn .* refs=1 " "putback_movable_pages|folio_putback_lru|alloc_contig_range.*"
echo 0 >"$EVENTS/page_pin_owner_put/filter"
check "isolated by another: then there is an answer" wait_for 20 grep -q '^failed' /tmp/other.out
exec 7>&-
wait "$OTHER"
unhold
disarm
umount_files

for path in longterm soft_offline madvise; do
	for memory in shmem anon; do
		reason_case $path $memory
	done
done
check "no mark, stack or put was lost" no_losses
finish
