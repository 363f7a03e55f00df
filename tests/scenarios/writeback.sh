#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Pages under writeback to a device that does not end it. Nobody holds a reference; only
# the end of it takes one, and puts it at once. Whoever migrates with MIGRATE_SYNC (CMA,
# memory offline, soft offline, long-term pins, move_pages, mbind, compact_memory) waits
# for that end and does not fail. Other compaction leaves such pages out when it
# isolates, without a word, and so does reclaim before it would demote them. What is
# left and fails is MIGRATE_ASYNC: DAMON, here, and NUMA balancing.
# vm: --nodes 2 --append cma=0
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/paths.sh

# ended: the end of writeback put the page
ended() {
	paired | awk -v pattern="page_pin_owner_put: pfn=$pfn .* reason=damon stage=migrate refs=1 " '
		/ page_pin_owner_[a-z]*: / { found = $0 ~ pattern }
		found && $2 == "folio_end_writeback" { ok = 1 }
		END { exit !ok }'
}

# story_ended: and the page was freed
story_ended() {
	event page_pin_owner_free "$pfn" | grep "reason=damon stage=migrate .* cause=freed"
}

plan 10
load || give_up "the module does not load"

mount_files loop
check "no device to hold: ppo-pin says so" fails ppo-pin --memory file --by writeback </dev/null
cp /tmp/check.log /tmp/said
check_grep "no device to hold: and which it wants" "ppo-pin: no device can be held" /tmp/said
umount_files

mount_files nbd
setup_damon
hold --memory file --by writeback --node 1
pfn=$PFNS
# DAMON moves what is on the LRU lists, and not what is in a batch for them.
drain_lru
arm
check "the page cannot be moved" fails path_damon
event report_page_pinners "$pfn" >/tmp/reports
check_grep "reported with flag, reason and stage" \
	"flags=[a-z_|]*writeback.* reason=damon err=-?[1-9][0-9]* stage=migrate " /tmp/reports
check "nobody has a reference too many" test "$(excess)" -eq 0
check "until released it stays as it is" fails ended
echo >"$T/trace"
release
check "the put at its end is recorded with the function" wait_for 5 ended
check "then it is moved" path_damon
check "and its story ends" story_ended
unhold
disarm
umount_files
check "no mark, stack or put was lost" no_losses
finish
