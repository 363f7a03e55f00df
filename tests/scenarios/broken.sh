#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# A bug of the module's own, or a stray write of somebody else's into its tables: once
# it is noticed the module switches off, says so in one line, does no harm, and leaves
# its tables to be read.
# vm: --allow "page_pin_owner: BUG: 'filter' does not hold in its tables"
# debug: quick

. ./lib.sh

# symbol NAME: the address of the module's symbol that ends so, and the bytes to the next
symbol() {
	grep '\[page_pin_owner\]' /proc/kallsyms | sort | awk -v name="$1" '
		start { print "0x" start, "0x" $1; exit }
		$3 ~ name "$" { start = $1 }'
}

# said: how often the log says that something is broken
said() {
	dmesg | grep -c 'page_pin_owner: BUG: '
}

# poke FROM TO: change the counters of the filter that are FROM
poke() {
	local start end

	read -r start end <<-END
		$(symbol 5MARKS)
	END
	insmod /ppo_poke.ko at="$start" len=$((end - start)) from="$1" to="$2" || return 1
	cat /sys/module/ppo_poke/parameters/poked
	rmmod ppo_poke
}

# pin_and_fail: a pinned page makes an allocation from CMA fail
pin_and_fail() {
	hold --memory shmem --by vmsplice
	! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
}

plan 18
load || give_up "the module does not load"

hold --memory thp --by vmsplice --pages 512 --count 1
arm
# The second one is never freed.
for pfn in "$PFNS" 1; do
	echo "$pfn" >"$D/mark" || give_up "$pfn cannot be marked"
done
check "nothing is broken" grep -qx broken=none "$D/stats"
# A huge page has eight blocks of 64 pages, each with a counter of its own.
poked=$(poke 64 1)
check "eight counters were changed behind the module's back" test "$poked" -eq 8
unhold
check "the next change of one is noticed" wait_for 20 attached 0
check "by its name" grep -qx broken=filter "$D/stats"
check "the log says so, once" test "$(said)" -eq 1
check "and which" sh -c "dmesg | grep -q \"BUG: 'filter' does not hold in its tables; switched off\""
check "the events stay enabled" grep -q 1 "$EVENTS/report_page_pinners/enable"
check "what is marked can be read" is_marked 0x1
for file in marked holders stacks; do
	cat "$D/$file" >"/tmp/$file.off" || give_up "$file cannot be read"
done

marked=$(stat marked) puts=$(stat puts)
pin_and_fail
unhold
check "nothing more is marked or recorded" test "$(stat marked) $(stat puts)" = "$marked $puts"
check "nor by hand" fails sh -c "echo 1 >$D/mark"
check "which says why" sh -c "dmesg | tail -n 3 | grep -q 'mark: switched off after a bug'"
disarm
check "with the events disabled it is all there still" sh -c \
	"cat $D/stacks | cmp - /tmp/stacks.off && cat $D/holders | cmp - /tmp/holders.off &&
	grep -q '^pfn=0x1 ' $D/marked"
check "the events cannot be enabled again" fails sh -c "echo 1 >$EVENTS/enable"
check "which says why" sh -c "dmesg | tail -n 5 | grep -q 'cannot go on after a bug of this module'"
check "no word more of what is broken" test "$(said)" -eq 1
check "it can be unloaded" rmmod page_pin_owner

load || give_up "the module does not load again"
arm
pin_and_fail
check "loaded anew it works" is_marked "$PFNS"
unhold
check "and is whole" grep -qx broken=none "$D/stats"
disarm
finish
