#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# More ways to hold a page, each with the failure that it causes, and the function that
# lets go: what a pipe has of a file, a send queue that nobody reads, a process that is
# killed, long-term pins, a per-CPU batch of the LRU lists, ring buffers.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/paths.sh

# Compilers inline, so there are alternatives.
SKB='skb_release_data|__kfree_skb'
BATCH='folio_batch_move_lru|lru_add_drain_cpu'
RING='rb_free|rb_free_rcu|perf_mmap_free_page'
PACKETS='free_pg_vec|packet_set_ring'

# MEMORY PIN FAILURE STAGE REFS TASK FUNCTION CALLER: what is to be moved, at which stage
# that fails, how many references the pin is; which task lets it go, in which function,
# and who has called that, from near or far.
#
# Long-term pins have left the CMA area before they are made. CMA empties the batches of
# all processors before it starts, as do memory offlining, compact_memory, move_pages and
# mbind; soft offlining does so only for what is on no LRU list. It comes last, as the area
# is never whole again when it has succeeded there.
CASES="
shmem splice        cma          migrate    1 ppo-pin   $PIPE            pipe_release
shmem tee           cma          migrate    1 ppo-pin   $PIPE            pipe_release
shmem zerocopy      cma          migrate    1 ppo-pin   $SKB             tcp_close
anon  zerocopy      cma          isolate    1 ppo-pin   $SKB             tcp_close
shmem exit          cma          migrate    1 ppo-dying $PIPE            do_exit
anon  exit          cma          isolate    1 ppo-dying $PIPE            do_exit
shmem longterm      soft_offline migrate 1024 ppo-pin   unpin_user_pages gup_test_ioctl
shmem longterm-fast soft_offline migrate 1024 ppo-pin   unpin_user_pages gup_test_ioctl
shmem io-uring      soft_offline migrate 1024 ppo-pin   $URING           __x64_sys_io_uring_register
anon  io-uring      soft_offline migrate 1024 ppo-pin   $URING           __x64_sys_io_uring_register
shmem lru-batch     soft_offline migrate    1 kworker/[1R] $BATCH        lru_add_drain_per_cpu|lru_add_and_bh_lrus_drain
"

# PIN EXPECTED TASK FUNCTION CALLER: what no failure that migrates gets to see, as the pages
# are the kernel's own; they are marked by hand. perf says of its pages that they belong to
# a file, so that the ring's own reference is taken for the page cache's. Any task may find
# that RCU is through.
RINGS="
perf-ring   2 .*      $RING    rcu_core|rcu_do_batch
packet-ring 1 ppo-pin $PACKETS packet_release
"

one_case() {
	local memory=$1 by=$2 path=$3 stage=$4 refs=$5 task=$6 function=$7 caller=$8 name="$1 held by $2"

	hold --memory "$memory" --by "$by"
	pfn=$PFNS
	arm
	check "$name: $path fails" fails "path_$path"
	event report_page_pinners "$pfn" >/tmp/reports
	check_grep "$name: reported with reason and stage" \
		"reason=$(reason_for "$path") err=-?[1-9][0-9]* stage=$stage expected=[0-9]+ order=0 stack=[1-9]" \
		/tmp/reports
	check "$name: $refs more than expected" test "$(excess)" -eq "$refs"

	echo >"$T/trace"
	release
	check "$name: the put's stack names $function" \
		wait_for 20 let_go "$task" "$pfn" "$refs" "$function" "$caller"
	succeeds_now "$name: $path" "path_$path"
	unhold
	event page_pin_owner_free "$pfn" >/tmp/frees
	check_grep "$name: the free ends the story" "puts=[1-9][0-9]* age_us=[1-9][0-9]* cause=freed" \
		/tmp/frees
	check "$name: no longer marked" fails is_marked "$pfn"
	disarm
}

one_ring() {
	local by=$1 expected=$2 task=$3 function=$4 caller=$5

	hold --memory shmem --by "$by" --pages 4
	pfn=${PFNS##* }
	arm
	check "$by: its last page can be marked" sh -c "echo $pfn >$D/mark"
	check_grep "$by: it is mapped, and the kernel has it" \
		"report_page_pinners: pfn=$pfn .* count=2 mapcount=1 .* reason=manual err=0 stage=manual expected=$expected " "$T/trace"
	release
	check "$by: the put's stack names $function" \
		wait_for 20 let_go "$task" "$pfn" 1 "$function" "$caller"
	check "$by: the story ends" fails is_marked "$pfn"
	unhold
	disarm
}

plan $((11 * 7 + 2 * 4 + 1))
load || give_up "the module does not load"
ip link set lo up
# Whoever unmaps memory empties the batch of the processor he is on.
taskset -p 1 $$ >/dev/null

echo "$CASES" | grep -v '^$' >/tmp/cases
while read -r memory by path stage refs task function caller <&8; do
	one_case "$memory" "$by" "$path" "$stage" "$refs" "$task" "$function" "$caller"
done 8</tmp/cases
echo "$RINGS" | grep -v '^$' >/tmp/cases
while read -r by expected task function caller <&8; do
	one_ring "$by" "$expected" "$task" "$function" "$caller"
done 8</tmp/cases

check "no mark, stack or put was lost" no_losses
finish
