#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Ways to fail of a page that is to leave its node, its block of memory, or its place.
# vm: --mem 6144 --slow-node --append cma=0
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/reasons.sh

plan $((20 * CASE + 1))
load || give_up "the module does not load"
setup_cgroups
setup_damon
settle

reason_case compact shmem
# It passes over what is private, without a word: that is no error.
reason_case compact anon isolate 0
reason_case gigantic shmem
# Here as well it is not even isolated.
reason_case gigantic anon isolate -16
for path in offline move_pages migrate_pages cpuset mbind demotion damon; do
	for memory in shmem anon; do
		reason_case $path $memory
	done
done
# Not before: it moves pages of anybody, which counts as much as those that others move.
echo 1 >/proc/sys/kernel/numa_balancing
for memory in shmem anon; do
	if numa_balances $memory >/dev/null 2>&1; then
		reason_case numa_balancing $memory
	else
		no_case "numa_balancing of $memory" "this kernel does not"
	fi
done

check "no mark, stack or put was lost" no_losses
finish
