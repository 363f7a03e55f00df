#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Each allocation made to fail in turn: of loading, of making marks, of reading every
# table, of setting every parameter, of an instance with the events. Whoever asked gets
# ENOMEM or what was asked for; nothing is left half done, and all works afterwards.
# Attaching is attach.sh's. Where the kernel can fail pages too, they are.
# vm: --failing-allocations --timeout 300
# debug: quick
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# fail_each NAME MIN ARGUMENT...: at least MIN tries fail, and all of them with ENOMEM
fail_each() {
	local name=$1 min=$2 tries='' failed='' rest=''
	shift 2

	ppo-fail "$@" >/tmp/counts 2>&1
	echo "# $name: $(cat /tmp/counts)"
	# tries=N failed=N ENOMEM=N
	read -r tries failed rest </tmp/counts
	check "$name: comes to an end with all undone" test "${tries%=*}" = tries
	check "$name: at least $min tries fail, with ENOMEM all" sh -c \
		"[ '${failed#*=}' -ge $min ] && case '$rest' in ''|ENOMEM=${failed#*=}) true ;; *) false ;; esac"
}

# set_faults NAME VALUE: where the kernel has such a setting of failing slabs, or pages
set_faults() {
	for dir in /sys/kernel/debug/failslab /sys/kernel/debug/fail_page_alloc; do
		[ ! -e "$dir/$1" ] || echo "$2" >"$dir/$1"
	done
}

# function_at NAME: the address of this function of the kernel, and that of the next
function_at() {
	grep -i ' t ' /proc/kallsyms | sort | awk -v name="$1" '
		start { print "0x" start, "0x" $1; exit }
		$3 == name { start = $1 }'
}

plan 41
set_faults verbose 0
set_faults ignore-gfp-wait N
set_faults ignore-gfp-highmem N
set_faults min-order 0
# The kernel does not bear it when the names of tasks cannot be traced.
echo 0 >"$T/options/record-cmd"

# Of loading only what the module itself asks for: the kernel warns when it finds no memory
# to patch a module's branches, and leaks a name in sysfs_slab_add().
if [ -e /sys/kernel/debug/failslab/require-start ]; then
	read -r start end <<-END
		$(function_at sysfs_slab_add)
	END
	set_faults reject-start "$start"
	set_faults reject-end "$end"
	set_faults require-start 0xffffffffc0000000
	set_faults require-end 0xffffffffff000000
	fail_each "load" 1 load /page_pin_owner.ko page_pin_owner "$D" "$EVENTS"
	set_faults require-end 0xffffffffffffffff
	set_faults require-start 0
	set_faults reject-start 0
	set_faults reject-end 0
else
	skip "load: comes to an end" "this kernel cannot choose whose allocations fail"
	skip "load: tries fail" "this kernel cannot choose whose allocations fail"
fi
load || give_up "the module does not load after that"
check "after that it loads" test -e "$D/stats"

arm
hold --memory shmem --by vmsplice
pfn=$PFNS
fail_each "mark by hand" 0 write "$D/mark" "$pfn" "-$pfn"
check "mark by hand: nothing is marked" test "$(stat marks)" -eq 0
echo "$pfn" >"$D/mark"
for table in marked holders stacks stats; do
	fail_each "read $table" 1 read "$D/$table"
done
base=$(cat "$CMA/base_pfn")
fail_each "watch" 1 write "$D/watch" "$base 2000" clear
check "watch: no memory is left in use" grep -qx ledger_bytes=0 "$D/stats"
echo "$base 2000" >"$D/watch"
# More tables, and memory to remember what is to be given back
fail_each "watch more" 1 write "$D/watch" "$base 4000" "-$((base + 2000)) 2000"
for table in watch ledger; do
	fail_each "read $table" 1 read "$D/$table"
done
# Puts go back to probes that cannot be attached then.
fail_each "watch no more" 0 write "$D/watch" clear "$base 2000"
echo clear >"$D/watch"
fail_each "reasons" 0 write /sys/module/page_pin_owner/parameters/reasons compaction all
fail_each "until" 0 write /sys/module/page_pin_owner/parameters/until unpinned free
fail_each "max_age" 0 write /sys/module/page_pin_owner/parameters/max_age 1000 0
fail_each "report_rate" 0 write /sys/module/page_pin_owner/parameters/report_rate 5 1000
fail_each "longterm_ms" 0 write /sys/module/page_pin_owner/parameters/longterm_ms 5 1000
fail_each "a filter" 1 write "$EVENTS/page_pin_owner_put/filter" 'reason == "compaction"' 0
check "the mark is there still" is_marked "$pfn"
check "so is what was set before" test "$(cat /sys/module/page_pin_owner/parameters/reasons)" = all
check "nothing is broken" grep -qx broken=none "$D/stats"

echo -"$pfn" >"$D/mark"
echo >"$T/trace"
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
release
check_grep "after all that it names the holder" "^ ($PIPE)\+" "$D/holders"
unhold
disarm
finish
