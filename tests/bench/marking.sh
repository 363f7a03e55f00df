#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What it costs to have a folio that did not migrate marked, beside the migration itself,
# and to enable and disable events.
# shellcheck shell=dash source-path=SCRIPTDIR/../scenarios

. ./lib.sh
. ./lib/latency.sh

# row NAME [WHAT]: a row of the table
row() {
	check "$1" sh -c "ppo-cost fail fail-again fail-each ${2-} --mib 4 >/tmp/costs"
	# shellcheck disable=SC2046 # numbers
	echo "# bench marking: $1:" $(cat /tmp/costs)
}

# toggle FILE: five times on and off, with pauses
toggle() {
	for _ in 1 2 3 4 5; do
		usleep 200000
		echo 1 >"$1"
		usleep 200000
		echo 0 >"$1"
	done
}

# switch NAME FILE: a row of the table
switch() {
	check "$1" sh -c "{ ppo-cost-file --write 1 $2 && ppo-cost-file --write 0 $2; } >/tmp/costs"
	# shellcheck disable=SC2046 # numbers
	echo "# bench switching: $1:" $(cat /tmp/costs) "$(latest toggle "$2")"
}

# Folios of one page each
echo never >/sys/kernel/mm/transparent_hugepage/enabled
plan 9
echo 1000 >"$T/buffer_size_kb"
row "not loaded"
echo "# bench switching: nothing: 0 0 0 0 $(latest sleep 4)"
switch "page_ref event" "$T/events/page_ref/page_ref_mod_and_test/enable"
load report_rate=1 || give_up "the module does not load"
row "loaded, events off"
switch "all events, first time" "$EVENTS/enable"
switch "all events" "$EVENTS/enable"
echo 1 >"$EVENTS/page_pin_owner_put/enable"
row "marked" mark
echo 0 >/sys/module/page_pin_owner/parameters/report_rate
echo 1 >"$EVENTS/report_page_pinners/enable"
row "marked, and reported" mark
echo 1 >"$T/options/stacktrace"
row "marked, and reported with options/stacktrace" mark
# Reports are more than there may be, as asked for.
check "no mark, stack or put was lost" test "$(sum 'lost_.*')" -eq "$(stat lost_reports)"
disarm
finish
