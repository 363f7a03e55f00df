#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Loaded, used and unloaded $1 times (30) under load: the kernel has no more memory in
# use afterwards than before, whatever kind it is of.
# debug: never, what KASAN and the like keep of freed memory is more than any leak
# vm: --smp 4 --timeout 400
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

CYCLES=${1:-30}

# churn: other people's work with pages, until killed
churn() {
	while :; do
		ppo-pin --memory shmem --by vmsplice --quiet </dev/null >/dev/null 2>&1
		echo 1 >/proc/sys/vm/compact_memory
		dd if=/dev/zero of=/tmp/churn bs=64k count=64 2>/dev/null
		usleep 300000
	done
}

# cycle N: the module comes, sees puts of a page, and goes
cycle() {
	load || return 1
	case $(($1 % 3)) in
	0) arm ;;
	1) arm page_pin_owner_put ;;
	2) : ;;
	esac
	if attached 1; then
		echo "$PFNS" >"$D/mark" || return 1
		# It does not stay loaded.
		insmod /ppo_puts.ko "pfn=$PFNS" places=4 2>/dev/null
		[ "$(stat puts)" -ge 4 ] && ! rmmod page_pin_owner 2>/dev/null || return 1
	fi
	cat "$D/marked" "$D/holders" "$D/stacks" "$D/stats" >/dev/null || return 1
	disarm
	rmmod page_pin_owner
}

# cycles FROM TO
cycles() {
	local n=$1

	while [ "$n" -lt "$2" ]; do
		cycle "$n" || return 1
		n=$((n + 1))
	done
}

# meminfo NAME: a figure of the kernel's memory, in KiB
meminfo() {
	sed -n "s/^$1: *\([0-9]*\) kB$/\1/p" /proc/meminfo
}

# figures: what is in use, once all that can be freed is
figures() {
	for _ in 1 2 3; do
		echo 3 >/proc/sys/vm/drop_caches
		sleep 1
	done
	# What the processors have counted for themselves so far
	echo 1 >/proc/sys/vm/stat_refresh
	for name in SUnreclaim VmallocUsed Percpu; do
		echo "$name=$(meminfo $name)"
	done
	# The kernel's workers, but for those of one queue alone, come and go, with 16 KiB each.
	echo "KernelStack=$(($(meminfo KernelStack) - 16 * $(grep -l '^kworker/[0-9u]' /proc/[0-9]*/comm | wc -l)))"
	echo "vmalloc_areas=$(wc -l </proc/vmallocinfo)"
	echo "modules=$(wc -l </proc/modules)"
	echo "symbols=$(wc -l </proc/kallsyms)"
	echo "watched_functions=$(wc -l <"$T/enabled_functions")"
	echo "debugfs_files=$(find /sys/kernel/debug -maxdepth 2 | wc -l)"
	echo "events=$(wc -l <"$T/available_events")"
}

# grown NAME: by how much
grown() {
	echo $(($(sed -n "s/^$1=//p" /tmp/after) - $(sed -n "s/^$1=//p" /tmp/before)))
}

# bounded NAME KIB: by no more than that
bounded() {
	check "$1 has not grown by more than $2 KiB" test "$(grown "$1")" -le "$2"
}

plan 11
echo 256 >"$T/buffer_size_kb"
hold --memory shmem --by vmsplice
churn &
churn=$!
# What is made at first use, once
check "loaded, used and unloaded 10 times" cycles 0 10
kill -STOP $churn
figures >/tmp/before
kill -CONT $churn
check "and $CYCLES times more" cycles 10 $((10 + CYCLES))
kill -STOP $churn
figures >/tmp/after
paste /tmp/before /tmp/after | diag
# The kernel's own differ by as much without any reason.
bounded SUnreclaim 512
bounded KernelStack 128
bounded VmallocUsed 64
bounded Percpu 64
for name in modules symbols watched_functions debugfs_files events; do
	check "$name: as many as before" test "$(grown $name)" -eq 0
done
kill -KILL $churn
unhold
finish
