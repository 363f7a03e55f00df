# shellcheck shell=dash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
#
# The ways in which the kernel has to move a page, one function each. It has the kernel
# try to move the page $pfn of $HOLDER and succeeds if the kernel says that it could.
# However that went, the system can be used as before.

MEMORY=/sys/devices/system/memory
GROUP=/sys/fs/cgroup/ppo
POOL=/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages
# More than a GiB of them
POOL_PAGES=520
DAMON=/sys/kernel/mm/damon/admin/kdamonds

# settle: from here on node 1 gives pages of the first GiB in which there is nothing but
# such pages: nothing that is as old as the kernel, which is at both ends of the node
settle() {
	# Few pages stay with a processor: it gives them again to who asks next, and
	# compaction does not see them. And with only one of them.
	taskset -p 1 $$ >/dev/null
	echo 1000000 >/proc/sys/vm/percpu_pagelist_high_fraction
	echo $POOL_PAGES >$POOL
	weigh BALLAST 4096
}

# weigh NAME PAGES: a process by that name takes so many pages of node 1: the lowest
# that are left, but first what is free here and there
weigh() {
	rm -f "/tmp/$1.in" "/tmp/$1.out"
	mkfifo "/tmp/$1.in"
	ppo-pin --memory shmem --by none --pages "$2" --node 1 --quiet \
		<"/tmp/$1.in" >"/tmp/$1.out" 9>&- &
	eval "$1=$!"
	exec 7>"/tmp/$1.in"
	wait_for 20 test -s "/tmp/$1.out"
}

# thin NAME N: the process that was started last keeps one page of N
thin() {
	echo "thin $2" >&7
	wait_for 20 grep -q ok "/tmp/$1.out"
}

# lift PROCESS: it ends, and its pages are free
lift() {
	# Closing its input would not do: whoever was started since has it too.
	kill "$1"
	wait "$1" 2>/dev/null
}

# hold_for PATH ARGUMENT...: hold pages where that way finds them, and where it has to
# take them away from
hold_for() {
	local path=$1
	shift

	if [ ! -d /sys/devices/system/node/node1 ]; then
		hold "$@"
		return
	fi
	case $path in
	demotion)
		# It is who touches memory first that is charged for it.
		echo $$ >$GROUP/cgroup.procs
		hold "$@" --node 0
		echo $$ >/sys/fs/cgroup/cgroup.procs
		;;
	compact)
		hold "$@" --node 1
		# That moves pages up, and only to blocks of 512 that are in use already.
		weigh ABOVE 2048
		thin ABOVE 256
		lift "$BALLAST"
		;;
	*) hold "$@" --node 1 ;;
	esac
}

# unhold_from PATH: end what hold_for did
unhold_from() {
	unhold
	case $1 in
	compact)
		lift "$ABOVE"
		weigh BALLAST 4096
		;;
	# What is left of POOL would come first.
	gigantic) weigh MORE 4096 ;;
	esac
}

# reason_for PATH: what the kernel calls it
reason_for() {
	case $1 in
	cma | gigantic) echo contig_range ;;
	offline*) echo memory_hotplug ;;
	compact) echo compaction ;;
	soft_offline | madvise) echo memory_failure ;;
	move_pages | migrate_pages | cpuset) echo syscall_or_cpuset ;;
	mbind) echo mempolicy_mbind ;;
	numa_balancing) echo numa_misplaced ;;
	longterm) echo longterm_pin ;;
	*) echo "$1" ;;
	esac
}

# no_more_failures COMMAND...: run it; succeed if meanwhile no page failed to migrate,
# which some ways to have it migrated do not tell otherwise
no_more_failures() {
	local before

	before=$(vmstat pgmigrate_fail)
	"$@"
	[ "$(vmstat pgmigrate_fail)" -eq "$before" ]
}

# An allocation of the whole CMA area
path_cma() {
	cma_alloc_all
}

# An allocation of a hugetlb page of 1 GiB. Those of 2 MiB would be in its way, and stay
# away: now the GiB that settle() has looked for is what node 1 gives pages of.
path_gigantic() {
	local pool=${POOL%/*/*}/hugepages-1048576kB/nr_hugepages got

	echo 0 >$POOL
	echo 1 >"$pool"
	got=$(cat "$pool")
	echo 0 >"$pool"
	[ "$got" -eq 1 ]
}

# block: the block of memory that the page is in
block() {
	echo $MEMORY/memory$((pfn * 4096 / 0x$(cat $MEMORY/block_size_bytes)))
}

# path_offline [SECONDS]: taking its block of memory offline, which has no end while
# the page is pinned but that by a signal. By default it is given up at the first
# page that fails to migrate.
path_offline() {
	local state before end status=0

	state=$(block)/state
	before=$(vmstat pgmigrate_fail)
	sh -c "echo offline >$state" 2>/dev/null &
	end=$((${1:-5} * 50))
	while [ "$end" -gt 0 ] && [ -d /proc/$! ] && { [ $# -gt 0 ] || [ "$(vmstat pgmigrate_fail)" -eq "$before" ]; }; do
		end=$((end - 1))
		usleep 20000
	done
	kill $! 2>/dev/null
	wait $! || status=$?
	[ "$(cat "$state")" = online ] || echo online_kernel >"$state"
	return $status
}

# Compaction of a whole node's memory. What it passes over without a word shows by staying
# where it is.
path_compact() {
	no_more_failures sh -c 'echo 1 >/sys/devices/system/node/node1/compact' &&
		[ -z "$(address "$pfn")" ]
}

# Soft offlining: an administrator's, then the holder's own
path_soft_offline() {
	printf '0x%x' $((pfn * 4096)) >$MEMORY/soft_offline_page
}

# A hard memory error: taking the page out of use, which somebody's reference prevents,
# or goes on after
path_hwpoison() {
	echo "$pfn" >/sys/kernel/debug/hwpoison/corrupt-pfn
}

path_madvise() {
	ask madvise soft_offline
}

path_move_pages() {
	ppo-move-page "$HOLDER" "$(address "$pfn")" 0
}

path_migrate_pages() {
	local failed

	failed=$(ppo-move "$HOLDER" 1 0) && echo "$failed" && [ "$failed" -eq 0 ]
}

# setup_cgroups: a control group, for path_cpuset and path_demotion
setup_cgroups() {
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	echo +memory +cpuset >/sys/fs/cgroup/cgroup.subtree_control
	mkdir $GROUP
	echo 0-1 >$GROUP/cpuset.mems
	echo 1 >/sys/kernel/mm/numa/demotion_enabled
}

# A change of the nodes that the tasks of a cpuset may use
path_cpuset() {
	local status=0

	echo "$HOLDER" >$GROUP/cgroup.procs
	no_more_failures sh -c "echo 0 >$GROUP/cpuset.mems" || status=1
	echo 0-1 >$GROUP/cpuset.mems
	return $status
}

path_mbind() {
	ask mbind 0
}

path_numa_balancing() {
	local before

	# It passes over what is not yet on a list of the LRU, without a word.
	drain_lru
	before=$(vmstat pgmigrate_fail)
	ask touch 0 && [ "$(vmstat pgmigrate_fail)" -eq "$before" ]
}

# numa_balances MEMORY: this kernel does so with such memory. Before 6.12.117 at the latest it
# passes over tmpfs's, which has no policy of its own.
numa_balances() {
	local moves=0 pfn

	hold_for numa_balancing --memory "$1" --by none
	pfn=$PFNS
	path_numa_balancing || moves=1
	unhold_from numa_balancing
	return $moves
}

path_longterm() {
	ask longterm
}

# reclaim: all that the control group has; the kernel says that this is less than asked
# for. Pages that were used lately are passed over once or twice, until the group's
# figures, which are up to date only where somebody reads them, show few others.
reclaim() {
	local before

	before=$(vmstat pgmigrate_fail)
	for _ in 1 2 3 4 5; do
		echo 1G >$GROUP/memory.reclaim
		[ "$(vmstat pgmigrate_fail)" -eq "$before" ] || break
		cat $GROUP/memory.numa_stat >/dev/null
	done 2>/dev/null
}

path_demotion() {
	no_more_failures reclaim
}

# setup_damon: have DAMON migrate what it is told of to node 0
setup_damon() {
	local context scheme

	echo 1 >$DAMON/nr_kdamonds
	echo 1 >$DAMON/0/contexts/nr_contexts
	context=$DAMON/0/contexts/0
	echo paddr >$context/operations
	echo 1000 >$context/monitoring_attrs/intervals/sample_us
	echo 2000 >$context/monitoring_attrs/intervals/aggr_us
	echo 1 >$context/targets/nr_targets
	echo 1 >$context/targets/0/regions/nr_regions
	echo 1 >$context/schemes/nr_schemes
	scheme=$context/schemes/0
	echo migrate_cold >$scheme/action
	echo 0 >$scheme/target_nid
	for range in sz nr_accesses age; do
		echo 0 >$scheme/access_pattern/$range/min
		echo 4294967295 >$scheme/access_pattern/$range/max
	done
}

# migrations: pages that were migrated, or could not be
migrations() {
	awk '/^pgmigrate_(success|fail) / { n += $2 } END { print n }' /proc/vmstat
}

# migrations_since N: there were more
migrations_since() {
	[ "$(migrations)" -gt "$1" ]
}

# damon: run it on this page alone until the page was or should have been moved
damon() {
	local region=$DAMON/0/contexts/0/targets/0/regions/0 before

	before=$(migrations)
	echo $((pfn * 4096)) >$region/start
	echo $((pfn * 4096 + 4096)) >$region/end
	echo on >$DAMON/0/state
	# It passes over what is not yet on a list of the LRU again. Who drains the lists looks at
	# the page, too, and would be in its way.
	wait_for 1 migrations_since "$before" || {
		echo off >$DAMON/0/state
		drain_lru
		echo on >$DAMON/0/state
		wait_for 1 migrations_since "$before"
	}
	echo off >$DAMON/0/state
}

path_damon() {
	no_more_failures damon
}
