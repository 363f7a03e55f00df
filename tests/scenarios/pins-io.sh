#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Pages held by input and output under way: O_DIRECT transfers that the device does
# not end, reads that stand still half way. Each failure is reported, and
# the put that ends it is recorded with the function that did it.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# MEMORY PIN PAGES STAGE REFS TASK FUNCTION: how many pages are pinned, which stage
# fails, how many references the pin is, who lets it go and what is in its stack. A
# transfer of up to 256 pages is one bio, whose submitter waits and unpins; of more
# pages the end of each bio does, and of a read into pages that were cleaned meanwhile
# a work item. Of many pages some are not even tried before CMA gives up.
CASES="
shmem direct-write   1 migrate         1024 ppo-direct __bio_release_pages
anon  direct-write   1 isolate         1024 ppo-direct __bio_release_pages
file  direct-write   1 migrate         1024 ppo-direct __bio_release_pages
shmem direct-read    1 migrate         1024 ppo-direct __bio_release_pages
anon  direct-read    1 isolate         1024 ppo-direct __bio_release_pages
file  direct-read    1 migrate         1024 ppo-direct __bio_release_pages
shmem direct-write 300 migrate|isolate 1024 .*         blkdev_bio_end_io
anon  direct-read  300 isolate         1024 .*         bio_check_pages_dirty
file  direct-read  300 migrate|isolate 1024 kworker/.* bio_dirty_fn
shmem read           1 migrate            1 ppo-read   shmem_file_read_iter
shmem read           8 migrate|isolate    1 ppo-read   shmem_file_read_iter
file  read           1 migrate            1 ppo-read   filemap_read
"

# put_of TASK PFN REFS: what the line of such a put matches
put_of() {
	echo "$(by "$1").* page_pin_owner_put: pfn=$2 .* refs=$3 "
}

# one_case MEMORY PIN PAGES STAGE REFS TASK FUNCTION
one_case() {
	local stage=$4 refs=$5 function=$7 name="$3 of $1 by $2" pfn last put

	hold --memory "$1" --by "$2" --pages "$3"
	pfn=${PFNS%% *} last=${PFNS##* }
	put=$(put_of "$6" "$pfn" "$refs")
	arm
	check "$name: the allocation fails" fails cma_alloc_all
	event report_page_pinners "$pfn" >/tmp/reports
	check_grep "$name: reported with reason and stage" \
		"reason=contig_range err=-?[1-9][0-9]* stage=($stage) expected=[0-9]+ order=0 stack=[1-9]" \
		/tmp/reports
	check "$name: $refs more than expected" test "$(excess)" -eq "$refs"
	check "$name: the last page is marked, too" is_marked "$last"

	# Cleans the file's pages.
	sync
	echo >"$T/trace"
	release
	# Who waits for a transfer may go on before its pages are put.
	check "$name: the put is recorded" wait_for 5 grep -q -E "$put" "$T/trace"
	grep -E -m 1 "$put" "$T/trace" >/tmp/put
	check_grep "$name: with reason and stage" "reason=contig_range stage=($stage) refs=$refs" /tmp/put
	check "$name: its stack names the function" stack_has "$put" "$function"
	check "$name: its handle too" handle_has "$(field stack </tmp/put)" "$function"
	check "$name: and so has the last page's" wait_for 5 \
		stack_has "$(put_of "$6" "$last" "$refs")" "$function"

	unhold
	event page_pin_owner_free "$pfn" >/tmp/frees
	check_grep "$name: the free ends the story" "reason=contig_range .* cause=freed" /tmp/frees
	succeeds_now "$name: the allocation" cma_alloc_all
	disarm
}

# is_waiting PID FUNCTION: this process sleeps in that function of the kernel's
is_waiting() {
	grep -q "$2" "/proc/$1/stack"
}

# reported_by_its_end: the page was not reported; or it was as the end of writeback, which wakes
# who waits for it, still had its reference, and then put that
reported_by_its_end() {
	event report_page_pinners "$PFNS" >/tmp/reports || return 0
	[ "$(excess)" -eq 1 ] && let_go '.*' "$PFNS" 1 folio_end_writeback '.*'
}

# ends_well ALLOCATION: that has succeeded, or the next one does
ends_well() {
	wait "$1" || wait_for 3 cma_alloc_all
}

echo "$CASES" | grep -v '^$' >/tmp/cases
plan $(($(wc -l </tmp/cases) * 11 + 11))
load || give_up "the module does not load"
echo 4096 >"$T/buffer_size_kb"

check "no file system: ppo-pin says so" fails ppo-pin --memory file --by none </dev/null
cp /tmp/check.log /tmp/said
check_grep "no file system: and where it should be" "ppo-pin: no ext4 .* at /files" /tmp/said

mount_files loop
hold --memory file --by none
arm
succeeds_now "file not pinned: the allocation" cma_alloc_all
check "file not pinned: nothing is reported" nothing_reported "$PFNS"
unhold
disarm
while read -r memory by pages stage refs task function <&8; do
	one_case "$memory" "$by" "$pages" "$stage" "$refs" "$task" "$function"
done 8</tmp/cases
umount_files

# Writeback holds no reference, and CMA waits for its end: that is no failure. Where it
# is one, see writeback.sh.
mount_files nbd
hold --memory file --by writeback
arm
cma_alloc_all &
allocation=$!
check "writeback: a CMA allocation waits for its end" \
	wait_for 20 is_waiting "$allocation" folio_wait_writeback
check "writeback: which is no failure" fails event report_page_pinners "$PFNS"
release
check "writeback: and succeeds then, or where another page was in its way, soon" ends_well "$allocation"
check "writeback: nothing was reported but by its end" reported_by_its_end
unhold
disarm
umount_files

hold --memory anon --by direct-write
kill -9 "$HOLDER"
exec 9>&-
wait "$HOLDER" 2>/dev/null
check "direct-write: it ends when its holder is killed" cma_alloc_all
check "no mark, stack or put was lost" no_losses
check "every server ends its device" fails ls /sys/block/nbd*/pid
finish
