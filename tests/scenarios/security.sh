#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the module shows is for root alone, has no address of the kernel and no text that
# a task could forge a line with; a locked-down kernel is locked here too.
# debug: quick
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

PARAMETERS=/sys/module/page_pin_owner/parameters
TABLES="marked holders stacks stats ledger watch"

# as_nobody COMMAND: run it in a shell without any privilege
as_nobody() {
	su -s /bin/sh nobody -c "$1"
}

# modes PATH...: their modes, in one line
modes() {
	busybox stat -c %a "$@" | tr '\n' ' '
}

# all_output: everything there is to read
all_output() {
	for table in $TABLES; do
		cat "$D/$table"
	done
	cat "$PARAMETERS"/*
	grep -hE '(report_page_pinners|page_pin_owner_put|page_pin_owner_free): ' "$T/trace"
	dmesg | grep 'page_pin_owner: '
}

# addresses: the lines of it with something like an address of the kernel
addresses() {
	all_output | grep -E '\<(0x)?f{4,}[0-9a-f]{8,}\>'
}

plan 29
mkdir -p /etc
echo 'root:x:0:0::/:/bin/sh' >/etc/passwd
echo 'nobody:x:65534:65534::/:/bin/sh' >>/etc/passwd
load || give_up "the module does not load"

echo "$(cat "$CMA/base_pfn") $(cat "$CMA/count")" >"$D/watch"
hold --memory shmem --by vmsplice
arm
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
# What puts the page next is no longer loaded when it is to be shown.
insmod /ppo_puts.ko "pfn=$PFNS" context=task places=8 2>/dev/null
grep -q '^ppo_puts ' /proc/modules && give_up "ppo_puts should not stay loaded"

check "tables can be read by root alone" test "$(cd "$D" && modes marked holders stacks stats ledger)" = \
	"400 400 400 400 400 "
check "watch can be read and written by root alone" test "$(modes "$D/watch")" = "600 "
check "the ledger has something to show" grep -q '^pfn=' "$D/ledger"
check "mark can be written by root alone" test "$(modes "$D/mark")" = "200 "
check "parameters can be written by root alone" fails sh -c \
	"busybox stat -c %a $PARAMETERS/* | grep -vxE '444|644'"
check "nobody is nobody" test "$(as_nobody 'id -u')" = 65534
check "nobody reads no table" fails as_nobody "cat $D/stats"
# As some do, to see at least something of it.
mount -o remount,mode=755 /sys/kernel/debug
for table in $TABLES; do
	check "nobody does not read $table even where debugfs is open to all" \
		fails as_nobody "cat $D/$table"
done
check "nobody marks no page" fails as_nobody "echo $PFNS >$D/mark"
check "nobody watches no page" fails as_nobody "echo $PFNS >$D/watch"
check "nobody sets no parameter" fails as_nobody "echo all >$PARAMETERS/reasons"
check "nobody enables no event" fails as_nobody "echo 1 >$EVENTS/enable"
check "nobody removes it" fails as_nobody "rmmod page_pin_owner"
mount -o remount,mode=700 /sys/kernel/debug

for restrict in 0 1 2; do
	echo $restrict >/proc/sys/kernel/kptr_restrict
	check "kptr_restrict=$restrict: no address is shown" fails addresses
done
echo 0 >/proc/sys/kernel/kptr_restrict
check_grep "a frame without a symbol is shown hashed" '^ 0{8}[0-9a-f]{8} \(no symbol\)$' "$D/stacks"

# Builtins, so that it is this shell that writes.
sh -c "printf 'a\\nb=1 c\\033[2J' >/proc/self/comm; echo -$PFNS >$D/mark; echo $PFNS >$D/mark"
check_grep "a task's name cannot forge a line" ' comm=a_b=1_c_\[2J( |$)' "$D/marked"
# shellcheck disable=SC2046 # lines into words
check "nor a word" fails sh -c "grep -v '^ ' $D/marked | tr ' ' '\\n' | grep -vE '^([a-z_]+=.*)?$'"
unhold
disarm
check "nor in the trace" fails sh -c \
	"grep -a 'reason=manual' $T/trace | grep -avE ': (report_page_pinners|page_pin_owner_(put|free)): pfn=0x'"

# Last, as there is no way back.
LOCKDOWN=/sys/kernel/security/lockdown
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
if [ -e $LOCKDOWN ]; then
	# The kernel leaves files open to readers that cannot be written at all.
	echo integrity >$LOCKDOWN
	check "locked down, nothing can be marked" fails sh -c "echo clear >$D/mark"
	check "nor watched" fails sh -c "echo clear >$D/watch"
	echo confidentiality >$LOCKDOWN
	check "locked down further, no event can be enabled" fails sh -c "echo 1 >$EVENTS/enable"
	check "nor can it be loaded again" sh -c "rmmod page_pin_owner && ! insmod /page_pin_owner.ko"
else
	skip "locked down, nothing can be marked" "a kernel without lockdown"
	skip "nor watched" "a kernel without lockdown"
	skip "locked down further, no event can be enabled" "a kernel without lockdown"
	skip "nor can it be loaded again" "a kernel without lockdown"
fi
finish
