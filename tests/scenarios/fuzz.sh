#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Input near to what is accepted and far from it, $1 times (1500, or 500), with the seed $2 to have
# a run again, in every file and parameter of the module: ppo-fuzz judges itself.
# debug: quick
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

ROUNDS=${1:-$((PATIENCE > 1 ? 500 : 1500))}

plan 4
ppo-fuzz --rounds "$ROUNDS" ${2:+--seed "$2"} >/tmp/fuzz 2>&1
status=$?
diag </tmp/fuzz
check "whatever it is given, it answers as it should" test $status -eq 0
check_grep "and the program says so" '^fuzz: SUCCESS ' /tmp/fuzz
check "the module is not there any more" fails test -e /sys/module/page_pin_owner

load || give_up "the module does not load after that"
arm
hold --memory shmem --by vmsplice
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
release
check "after all that it names the holder" put_by_pid "$HOLDER" "$PFNS"
unhold
disarm
finish
