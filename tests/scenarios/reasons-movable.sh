#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A page that another migration has taken off its list, and that waits for the end of
# writeback. Where all memory is movable the offlining of its block does not even try to
# move it: the block is not free, and that is all.
# vm: --mem 6144 --slow-node --append 'cma=0 movablecore=4096M'
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/paths.sh

plan 7
load || give_up "the module does not load"
settle
mount_files nbd
hold --memory file --by writeback --pages 2 --node 1
pfn=${PFNS##* }
ppo-move "$HOLDER" 1 0 >/dev/null &
mover=$!
check "another migration waits" wait_for 5 grep -q folio_wait_writeback /proc/$mover/stack
arm
check "offline fails" fails path_offline 2
event report_page_pinners "$pfn" >/tmp/reports
check_grep "reported with reason and stage" \
	"reason=memory_hotplug err=-16 stage=isolate expected=[0-9]+ order=0 stack=[1-9]" /tmp/reports
check "one more than expected" test "$(excess)" -eq 1
release
wait $mover
check "the put's stack names the function" \
	stack_has "^ *[^ ]*-$mover .*page_pin_owner_put: pfn=$pfn .* stage=isolate refs=1 " "migrate_.*"
check "the free ends the story" fails is_marked "$pfn"
unhold
disarm
umount_files
check "no mark, stack or put was lost" no_losses
finish
