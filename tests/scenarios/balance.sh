#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# balance.sh [SECONDS]: while all memory is watched, and pages are held in all ways by several
# at once and much else goes on: each page has, before each change, the references that it had
# after the one before, so that no get and no put was missed; and what the ledger has of each page
# that is held adds up to what the page has. First on one processor, where that must be so to the
# last reference; then on two, where who changes a page at once with another sees his change.
# vm: --mem 768 --append cma=64M --timeout 300
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

SECONDS_=${1:-30}

# since_watched: what the ledger says of pages that were allocated since
since_watched() {
	grep -E '^pfn=.* owner=[1-9]' "$D/ledger"
}

# is_off: lines of these that do not add up, though nothing is known to be missing
is_off() {
	since_watched | tee /tmp/ledger | grep ' off=' | grep -v -E ' (missed|full)=1'
}

# Everything that takes and gives back references, until it is killed
load_machine() {
	while :; do
		dd if=/dev/zero of=/files/file bs=64k count=64 2>/dev/null
		wc -c </files/file >/dev/null
		for _ in 1 2 3 4; do (true); done
		echo 1 >/proc/sys/vm/compact_memory
		echo 1 >/proc/sys/vm/drop_caches
	done
}

# balance NAME: pages are held and let go for a while
balance() {
	load_machine &
	load=$!
	check "$1: pages are held in all ways" \
		sh -c "ppo-history --seconds $SECONDS_ --pins 3 >/tmp/truth"
	kill $load
	wait $load 2>/dev/null
	sync
	hold --memory shmem --anywhere --by vmsplice
	# Who is about to give one back may not have told of it yet: what counts is what stays so.
	is_off >/tmp/once
	usleep 500000
	is_off >/tmp/twice
	awk 'FILENAME == "/tmp/once" { off[$1] = 1; next } $1 in off' /tmp/once /tmp/twice >/tmp/off
	echo "# $(grep -c '^pin' /tmp/truth) pins; $(wc -l </tmp/ledger) references held"
	grep -E '^(watched|ledger|lost_|stacks|untold)' "$D/stats" | diag
	check_grep "$1: some are held" "^pfn=$PFNS .* pid=$HOLDER " /tmp/ledger
	unhold
	head -n 40 /tmp/off | diag
	check "$1: none is missing, and none too many" test ! -s /tmp/off
	check "$1: few changes were missed" test "$(stat lost_changes)" -le $((SECONDS_ * 10))
	check "$1: no stack was lost" grep -qx lost_stacks=0 "$D/stats"
}

plan 13
no_fair_server
ifconfig lo up
mount_files loop
echo 0 >/sys/devices/system/cpu/cpu1/online
load || give_up "the module does not load"
echo "0 $(pages_in_all)" >"$D/watch" || give_up "memory cannot be watched"
balance "one processor"
check "one processor: every reference that was taken was entered" grep -qx untold_gets=0 "$D/stats"
check "one processor: and every one that was given back" grep -qx untold_puts=0 "$D/stats"
echo 1 >/sys/devices/system/cpu/cpu1/online
balance "two processors"
echo clear >"$D/watch"
check "no memory stays in use" grep -qx ledger_bytes=0 "$D/stats"
umount_files
finish
