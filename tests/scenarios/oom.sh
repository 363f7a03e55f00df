#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Out of memory, while pages are held and fail to move: in a control group, whose holder
# is killed, and in the whole machine. What could not be recorded is counted, and what is
# recorded adds up; afterwards the module works as before.
# vm: --failing-allocations
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

GROUP=/sys/fs/cgroup/small

# eat: take all the memory there is, until killed for it
eat() {
	# It looks for the end of the last line.
	sh -c "echo 1000 >/proc/self/oom_score_adj; exec tail /dev/zero" 2>/dev/null
}

# killed TEXT: the log has such a killing
killed() {
	dmesg | grep -q "$1: Killed process"
}

# adds_up: every mark is there, or has ended
adds_up() {
	awk -F = '
		$1 == "marked" { marked = $2 }
		$1 ~ /^(marks|freed|unpinned|expired|evicted|forgotten)$/ { known += $2 }
		END { exit marked != known }' "$D/stats"
}

# marked_of PFN...: the first of them that is marked
marked_of() {
	for pfn in "$@"; do
		! is_marked "$pfn" || { echo "$pfn" && return; }
	done
}

# fail_on FILE: make the kernel try to move pages as long as FILE is there
fail_on() {
	while [ -e "$1" ]; do
		cma_alloc_all
		echo 1 >/proc/sys/vm/compact_memory
	done 2>/dev/null
}

# last_put_by TASK PFN: the module says so. The trace has the names of tasks from the kernel,
# which may not get hold of one while so much is going on.
last_put_by() {
	event page_pin_owner_put "$2" | tail -n 5
	grep "^pfn=$2 " "$D/marked" | tee /tmp/marked
	grep -q " put_comm=$1 " /tmp/marked
}

plan 14
load || give_up "the module does not load"
echo 4096 >"$T/buffer_size_kb"
# Not this shell, nor what it starts from here on
echo -1000 >/proc/self/oom_score_adj
mkdir -p /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir $GROUP
echo $((48 << 20)) >$GROUP/memory.max
arm

# Its input stays open, and has nothing.
mkfifo /tmp/group.in
sh -c "echo 0 >$GROUP/cgroup.procs; echo 0 >/proc/self/oom_score_adj
	exec ppo-pin --memory shmem --by vmsplice --pages 64" </tmp/group.in >/tmp/group 2>&1 &
exec 8>/tmp/group.in
wait_for 20 grep -q '^pinned' /tmp/group
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
# shellcheck disable=SC2046 # words
pfn=$(marked_of $(sed -n 's/^pinned //; s/pfn=//gp' /tmp/group))
check "a page held in a group is marked" test -n "$pfn"
# A line without an end, which it keeps reading
cat /dev/zero >&8 2>/dev/null &
check "the group runs out of memory" wait_for 20 killed 'Memory cgroup out of memory'
exec 8>&-
wait 2>/dev/null
check "the page of a holder that is killed was put" wait_for 20 event page_pin_owner_put "$pfn"
check "its story has ended" wait_for 20 event page_pin_owner_free "$pfn"
check "the marks add up" adds_up

echo >"$T/trace"
hold --memory shmem --by vmsplice --pages 256
pages=$PFNS
marked=$(stat marked)
touch /tmp/failing
fail_on /tmp/failing &
failing=$!
for _ in 1 2 3; do
	eat
done
rm /tmp/failing
wait $failing
check "the machine runs out of memory" killed 'Out of memory'
check "three times" test "$(dmesg | grep -c 'Out of memory: Killed process .*(tail)')" -ge 3
grep -E '^(marks|marked|lost_.*|mark_bytes|reserve_bytes)=' "$D/stats" | xargs | diag
check "pages were marked meanwhile" test "$(stat marked)" -gt "$marked"
check "the marks add up" adds_up
check "nothing is broken" grep -qx broken=none "$D/stats"
for table in marked holders stacks; do
	cat "$D/$table" >/dev/null || give_up "$table cannot be read"
done
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
# shellcheck disable=SC2086 # words
pfn=$(marked_of $pages)
check "a held page is marked" test -n "$pfn"
# The holder's put is to be the last one.
drain_lru
release
check "and its holder is named" last_put_by ppo-pin "$pfn"
unhold
disarm
check "detached, nothing of it is left in use" sh -c \
	"grep -qx mark_bytes=0 $D/stats && grep -qx reserve_bytes=0 $D/stats"
check "it can be unloaded" rmmod page_pin_owner
finish
