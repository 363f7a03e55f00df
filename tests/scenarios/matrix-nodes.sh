#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# matrix-nodes.sh [PATHS]: who holds a page that cannot leave its node or its block of
# memory? Each way to fail, or those in PATHS, and each way to hold. See lib/matrix.sh.
# vm: --mem 6144 --slow-node --append cma=0 --timeout 900
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/matrix.sh

# shellcheck disable=SC2086 # names
set -- ${1:-offline compact move_pages migrate_pages cpuset mbind demotion damon numa_balancing}
plan $((2 * $# + 2))
load || give_up "the module does not load"
setup_cgroups
setup_damon
echo 1 >/proc/sys/kernel/numa_balancing
settle
matrix "$@"
check "no mark, stack or put was lost" no_losses
finish
