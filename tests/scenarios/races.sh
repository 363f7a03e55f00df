#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Folios fail to move while they are being freed: shared memory is moved from node to
# node page by page, and another thread punches holes into it (ppo-punch). With every
# event on, the kernel's own accounts stay right: nothing of that memory is left,
# neither mapped nor isolated nor in use, and each failure that the kernel counts is
# one that we know of, and no other. Had the process lost count of what it maps, or a
# page been freed that is in use, the kernel's log would say BUG. In the last
# runs all memory is watched, and nobody is said to hold what is freed.
# vm: --nodes 2 --mem 2048 --timeout 900
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

RUNS=23
# The last of them
WATCHED=3

# exactly NAME: a figure of the kernel's, with what each processor still has
exactly() {
	echo 1 >/proc/sys/vm/stat_refresh
	vmstat "$1"
}

# failures: how many the module knows of, whether it could record them or not
failures() {
	sum 'marked|repeated|lost_marks_.*'
}

# total NAME: of this figure in all runs
total() {
	grep -o "\<$1=[0-9]*" /r/runs | awk -F = '{ n += $2 } END { print n + 0 }'
}

# in_each PATTERN: every run has it
in_each() {
	! grep -E -v "$1" /r/runs
}

# equal_in_each NAME NAME: in every run the one figure is the other, which follows it
equal_in_each() {
	in_each "\<$1=([0-9]+) (.* )?$2=\1( |\$)"
}

# in_order: each report follows a call of migrate_pages() by the same task of which the
# kernel says that as many failed
in_order() {
	awk '
		/ mm_migrate_pages: / { match($0, /nr_failed=[0-9]+/); open[$1] = substr($0, RSTART + 10) + 0 }
		/ report_page_pinners: / { reports++; if (--open[$1] < 0) { print; bad = 1 } }
		END { exit bad || !reports }' "$T/trace"
}

# as_moved: no report is of something else
as_moved() {
	! grep report_page_pinners: "$T/trace" | grep -v ' reason=syscall_or_cpuset .* stage=migrate '
}

# held_by_the_gone: what the ledger says that ppo-punch has, which has ended; by its numbers,
# as it has no name any more
held_by_the_gone() {
	sed -n 's/^\(pid=[0-9]* \).*/ \1/p' /r/runs >/tmp/gone
	grep ^pfn= "$D/ledger" | grep -F -f /tmp/gone
}

trace_is_whole() {
	! grep -h 'overrun: [1-9]' "$T"/per_cpu/cpu*/stats
}

# lost_within_others: nothing was lost, but for a change of a watched page that came while
# another one was recorded
lost_within_others() {
	! grep '^lost_.*=[1-9]' "$D/stats" | grep -v -E '^lost_(nested|changes)=' && few_missed
}

nothing_marked() {
	[ "$(stat marks)" -eq 0 ]
}

plan 16
# What lies in the root file system, a tmpfs, is shared memory as well when it is mapped.
mkdir /r
mount -t ramfs ramfs /r
cp /bin/ppo-punch /r
# Holes make the kernel compact memory by itself, and what that passes over is no failure
# that it counts.
echo 0 >/proc/sys/vm/compaction_proactiveness
load || give_up "the module does not load"
echo 4096 >"$T/buffer_size_kb"
arm
echo 0 >"$T/options/stacktrace"
echo 'failed > 0' >"$T/events/migrate/mm_migrate_pages/filter"
echo 1 >"$T/events/migrate/mm_migrate_pages/enable"
: >/tmp/check.log

shmem=$(exactly nr_shmem)
run=0
while [ "$run" -lt "$RUNS" ]; do
	if [ "$run" -eq $((RUNS - WATCHED)) ]; then
		check "no mark, stack or put was lost" no_losses
		echo "0 $(pages_in_all)" >"$D/watch" || give_up "not all of memory can be watched"
	fi
	run=$((run + 1))
	counted=$(vmstat pgmigrate_fail) known=$(failures)
	said=$(/r/ppo-punch 2>&1) || give_up "run $run: $said"
	counted=$(($(vmstat pgmigrate_fail) - counted)) known=$(($(failures) - known))
	echo "$said counted=$counted known=$known" | tee -a /r/runs | diag
done
left=$(($(exactly nr_shmem) - shmem))

check "pages were moved and punched out in each run" in_each 'moved=[1-9].* gone=[1-9]'
check "some could not be moved" test "$(total failed)" -gt 0
check "Pss_Shmem is 0 after each run" in_each 'pss_shmem_kib=0 '
check "all of the memory is free again" test "$left" -eq 0
check "no page is isolated any more" \
	test "$(exactly nr_isolated_anon) $(exactly nr_isolated_file)" = "0 0"
check "the kernel counts what move_pages() tells" equal_in_each failed counted
check "the failures that we know of are those that the kernel counts" equal_in_each counted known
check "each report is of one of them" in_order
check "there are no other reports" as_moved
check "puts were recorded" test "$(stat puts)" -gt "$(stat marked)"
check "every story has ended with its page" wait_for 10 nothing_marked
check "the trace is whole" trace_is_whole
# Of pages that nobody holds the ledger has nothing to say.
hold --memory shmem --anywhere --by io-uring --pages 30000 --quiet
check_grep "the ledger has what others hold" "^pfn=.* pid=$HOLDER " "$D/ledger"
check "nobody is said to hold what is freed, and somebody else's by now" fails held_by_the_gone
unhold
check "while pages are watched, but within others, neither" lost_within_others
disarm
finish
