#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Who allocated the page that is held? The kernel's page_owner knows, if it was booted
# with that, and is asked by pfn: there is no way to ask it from a module.
# vm: --append page_owner=on
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

plan 3
load || give_up "the module does not load"
arm
hold --memory shmem --by vmsplice
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
pfn=$PFNS
check "the page is marked" is_marked "$pfn"
dd if=/sys/kernel/debug/page_owner bs=4096 count=1 iflag=skip_bytes skip=$((pfn)) \
	>/tmp/owner 2>/dev/null
check_grep "page_owner has its allocation" "^PFN $pfn " /tmp/owner
check_grep "with the stack" "^ shmem_(alloc|get)[a-z_]*\+" /tmp/owner
release
unhold
disarm
finish
