#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Everything at once, for $1 seconds, with the seed $2 to have a run again: ppo-torture
# judges itself. Arguments after them: only these of its loads.
#
# vm_debug=-: the kernel's own compaction may be looking at a block while it goes offline,
# and with DEBUG_VM oopses on the struct pages that are poisoned then.
# vm: --parallel --smp 4 --nodes 2 --mem 2048 --append "cma=128M movablecore=768M vm_debug=-"
# vm: --timeout 800
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

SECONDS_=${1:-$((25 * (PATIENCE > 1 ? 4 : 1)))}
[ $# -lt 1 ] || shift
SEED=$1
[ $# -lt 1 ] || shift

# setup_swap: a device for ppo-torture to swap to, in memory that is not swapped out
setup_swap() {
	mkdir /swap
	mount -t ramfs ramfs /swap
	dd if=/dev/zero of=/swap/file bs=1M count=32 2>/dev/null
	ln -s "$(losetup -f)" /tmp/swap-device
	losetup /tmp/swap-device /swap/file
	mkswap /tmp/swap-device >/dev/null
}

plan 3
# Its warning is printed under a lock, of which lockdep has something to say much later.
no_fair_server
ip link set lo up
mount_files loop
setup_swap
# The trace is read, but not by everybody who writes it.
echo 256 >$T/buffer_size_kb
# shellcheck disable=SC2086 # a seed, or nothing
ppo-torture --seconds "$SECONDS_" ${SEED:+--seed $SEED} "$@" >/tmp/torture 2>&1
status=$?
check "the torture ends in success" test $status -eq 0
# Below that, where it is found at the end of all tests, too.
diag </tmp/torture
check_grep "and says so" '^torture: SUCCESS ' /tmp/torture
check "the module is not there any more" fails test -e /sys/module/page_pin_owner
umount_files
finish
