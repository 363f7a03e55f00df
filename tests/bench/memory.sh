#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# memory.sh NAME: what the module takes of a guest's memory, in KiB: by its own figures, and
# by what is free. NAME says which guest this is; without a module what is in use anyway.
# shellcheck shell=dash source-path=SCRIPTDIR/../scenarios

. ./lib.sh
. ./lib/mark-all.sh

# used: what is not free
used() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	usleep 500000
	awk '/^MemTotal:/ { total = $2 } /^MemFree:/ { print total - $2 }' /proc/meminfo
}

# own: by the module's figures
own() {
	echo $((($(awk '$1 == "page_pin_owner" { print $2 }' /proc/modules) +
		$(sum '(mark|reserve|depot|ledger)_bytes')) / 1024))
}

# row NAME: a row of the table
row() {
	echo "# bench memory: $guest, $1: $(own) $(($(used) - before))"
}

# marked COUNT: with so many
marked() {
	hold --memory anon --by none --pages "$1" --anywhere
	before=$(used)
	own_before=$(own)
	# In a shell of its own, whose memory goes with it
	(mark_all "$PFNS")
	check "$1 are marked" test "$(stat marks)" -eq "$1"
	echo "# bench memory: $guest, $1 marked: $(($(own) - own_before)) $(($(used) - before))"
	unhold
	echo clear >"$D/mark"
}

guest=$1
echo never >/sys/kernel/mm/transparent_hugepage/enabled
before=0
if [ ! -e /page_pin_owner.ko ]; then
	plan 1
	booted=$(used)
	check "as booted" test "$booted" -gt 0
	echo "# bench memory: $guest, as booted: 0 $booted"
	finish
fi
plan 4
before=$(used)
load max_marks=65536 report_rate=0 || give_up "the module does not load"
row "loaded"
echo 1 >"$EVENTS/page_pin_owner_put/enable"
row "events on"
# Before anything is marked, whose memory the kernel gives back when it likes.
before=$(used)
own_before=$(own)
echo "0 65536" >"$D/watch"
echo "# bench memory: $guest, 256 MiB watched: $(($(own) - own_before)) $(($(used) - before))"
echo clear >"$D/watch"
marked 1000
marked 65536
check "no mark, stack or put was lost" no_losses
disarm
rmmod page_pin_owner
check "nothing stays" test $(($(used) - before)) -lt 1024
finish
