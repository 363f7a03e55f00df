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

KDAMOND=/sys/kernel/mm/damon/admin/kdamonds/0

# migrate_by_damon PFN NODE: have DAMON move this page to that node, again and again
migrate_by_damon() {
	local c=$KDAMOND/contexts/0 r s

	echo 1 >"${KDAMOND%/*}/nr_kdamonds"
	echo 1 >"$KDAMOND/contexts/nr_contexts"
	echo paddr >"$c/operations"
	echo 1 >"$c/targets/nr_targets"
	echo 1 >"$c/targets/0/regions/nr_regions"
	r=$c/targets/0/regions/0
	echo $(($1 * 4096)) >"$r/start"
	echo $(($1 * 4096 + 4096)) >"$r/end"
	echo 1 >"$c/schemes/nr_schemes"
	s=$c/schemes/0
	echo migrate_cold >"$s/action"
	echo "$2" >"$s/target_nid"
	for what in sz nr_accesses age; do
		echo 0 >"$s/access_pattern/$what/min"
		echo 1000000 >"$s/access_pattern/$what/max"
	done
	echo on >"$KDAMOND/state"
}

# node_of PFN: the node it is on; node 1 is behind node 0
node_of() {
	local first

	first=$(awk '/^Node 1,/ { node = 1 } node && /start_pfn:/ && $2 { print $2; exit }' /proc/zoneinfo)
	echo $(($1 >= first))
}

# ended: the end of writeback put the page
ended() {
	awk -v pattern="page_pin_owner_put: pfn=$pfn .* reason=damon stage=migrate refs=1 " '
		/ page_pin_owner_[a-z]*: / { found = $0 ~ pattern }
		found && $2 == "folio_end_writeback" { ok = 1 }
		END { exit !ok }' "$T/trace"
}

# story_ended: and the page was freed
story_ended() {
	event page_pin_owner_free "$pfn" | grep "reason=damon stage=migrate .* cause=freed"
}

plan 9
load || give_up "the module does not load"

mount_files loop
check "no device to hold: ppo-pin says so" fails ppo-pin --memory file --by writeback </dev/null
cp /tmp/check.log /tmp/said
check_grep "no device to hold: and which it wants" "ppo-pin: no device can be held" /tmp/said
umount_files

mount_files nbd
hold --memory file --by writeback
pfn=$PFNS
# DAMON moves what is on the LRU lists, and not what is in a batch for them.
echo 1 >/proc/sys/vm/drop_caches
arm
migrate_by_damon "$pfn" $((1 - $(node_of "$pfn")))
check "the page cannot be moved" wait_for 20 is_marked "$pfn"
event report_page_pinners "$pfn" >/tmp/reports
check_grep "reported with flag, reason and stage" \
	"flags=[a-z_|]*writeback.* reason=damon err=-?[1-9][0-9]* stage=migrate " /tmp/reports
check "nobody has a reference too many" \
	test "$(field count </tmp/reports | head -n 1)" -eq "$(field expected </tmp/reports | head -n 1)"
# One that goes on trying fills the trace.
echo off >"$KDAMOND/state"
check "until released it stays as it is" fails ended
echo >"$T/trace"
release
check "the put at its end is recorded with the function" wait_for 5 ended
echo on >"$KDAMOND/state"
check "then it is moved, and its story ends" wait_for 20 story_ended
echo off >"$KDAMOND/state"
unhold
disarm
umount_files
check "no mark, stack or put was lost" no_losses
finish
