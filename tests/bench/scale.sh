#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# How costs grow with what is marked.
# shellcheck shell=dash source-path=SCRIPTDIR/../scenarios

. ./lib.sh
. ./lib/mark-all.sh

# of_reading FILE: what it costs on a processor, in microseconds
of_reading() {
	ppo-cost-file "$D/$1" | cut -d ' ' -f 2
}

# row PAGES: a row of the table
row() {
	hold --memory anon --by none --pages "$1" --anywhere
	mark_all "$PFNS"
	check "$1 are marked" test "$(stat marks)" -eq "$1"
	echo "# bench scale: $1 marked:" \
		"$(ppo-cost get)" "$(ppo-cost get --marked --mib 16 --runs 3)" \
		"$(ppo-cost mark --mib 16 --runs 3)" \
		"$(of_reading holders)" "$(of_reading marked)" "$(of_reading stats)"
	unhold
	echo clear >"$D/mark"
}

echo never >/sys/kernel/mm/transparent_hugepage/enabled
plan 6
load max_marks=1048576 report_rate=0 || give_up "the module does not load"
echo 1 >"$EVENTS/page_pin_owner_put/enable"
for pages in 100 1000 10000 100000 1000000; do
	row $pages
done
check "no mark, stack or put was lost" no_losses
disarm
finish
