#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# How long a folio is traced: until it is freed, or only until nobody has more
# references than the kernel accounts for (until=unpinned), and at most for so many
# seconds (max_age).
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

UNTIL=/sys/module/page_pin_owner/parameters/until
MAX_AGE=/sys/module/page_pin_owner/parameters/max_age

# MEMORY PIN REFS: how many references the pin is
CASES="
shmem vmsplice    1
anon  vmsplice    1
shmem gup      1024
anon  gup      1024
"

# fail: an allocation fails on the page that is held
fail() {
	! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
}

# pin_and_mark MEMORY PIN [PAGES]: an allocation fails on a pinned page, PFN
pin_and_mark() {
	hold --memory "$1" --by "$2" --pages "${3:-1}"
	PFN=${PFNS%% *}
	arm
	fail
	is_marked "$PFN" || give_up "it should have been marked"
}

# goes_on: the folio is marked, and no story has ended
goes_on() {
	is_marked "$PFN" && ! event page_pin_owner_free "$PFN"
}

# ended CAUSE: its story has ended so, once
ended() {
	[ "$(event page_pin_owner_free "$PFN" | grep -c " cause=$1\$")" -eq 1 ] && ! is_marked "$PFN" &&
		[ "$(event page_pin_owner_free "$PFN" | wc -l)" -eq 1 ]
}

# stalls: how long nothing has run at most, in ms, in /tmp/stall. What it starts is in the way of
# an allocation now and then: it begins after that.
stalls() {
	local last longest=0 now

	last=$(uptime_ms)
	while :; do
		now=$(uptime_ms)
		[ $((now - last)) -le $longest ] || longest=$((now - last))
		echo $longest >/tmp/stall.new && mv /tmp/stall.new /tmp/stall
		last=$now
		usleep 50000
	done
}

# watch_stalls: from here on, until ended_within
watch_stalls() {
	rm -f /tmp/stall
	stalls &
	stalls=$!
	wait_for 3 test -s /tmp/stall
}

# ended_within CAUSE LOW HIGH: and it was so many seconds old; as many more as the host let
# nothing of the guest run
ended_within() {
	local age stalled

	ended "$1" || return 1
	kill "$stalls"
	age=$(event page_pin_owner_free "$PFN" | sed 's/.* age_us=\([0-9]*\) .*/\1/')
	stalled=$(cat /tmp/stall)
	echo "$age us old; $stalled ms without anything"
	[ "$age" -ge $(($2 * 1000000)) ] && [ "$age" -lt $(($3 * 1000000 + stalled * 1000)) ]
}

# counted CAUSE BEFORE: one more in the statistics
counted() {
	[ "$(stat "$1")" -eq $(($2 + 1)) ]
}

# silent: no event for the folio
silent() {
	! grep -E "page_pin_owner_(put|free): pfn=$PFN " "$T/trace"
}

until_free() {
	local name="$1 by $2, until=free"

	echo free >"$UNTIL"
	pin_and_mark "$1" "$2"
	release
	check "$name: unpinned it is traced on" goes_on
	look "$PFN"
	check "$name: and whoever had a look is recorded" put_by_pid "$LOOKER" "$PFN"
	unhold
	# Who looked, or ended, may have it in a batch.
	check "$name: until it is freed" wait_for 3 ended freed
}

until_unpinned() {
	local name="$1 by $2, until=unpinned" before

	echo unpinned >"$UNTIL"
	pin_and_mark "$1" "$2"
	before=$(stat unpinned)
	look "$PFN"
	# The next failure also takes the page from where the look has left it, in a batch.
	fail
	check "$name: a look at it is recorded" put_by_pid "$LOOKER" "$PFN"
	check "$name: neither that nor the next failure is the end" goes_on
	release
	check "$name: with its pin gone it is" ended unpinned
	check "$name: the pin's put is the last recorded" \
		grep -q " refs=$3 " <<-END
			$(event page_pin_owner_put "$PFN" | tail -n 1)
		END
	check "$name: counted" counted unpinned "$before"
	echo >"$T/trace"
	check "$name: it is still mapped" look "$PFN"
	unhold
	check "$name: nothing more is told of it" silent
}

# is_new SINCE: the folio has failed a few times, and first after SINCE
is_new() {
	local age

	age=$(sed -n "s/^pfn=$PFN .* attempts=[1-5] .* age_us=\([0-9]*\) .*/\1/p" "$D/marked")
	[ -n "$age" ] && [ "$age" -le $((($(uptime_ms) - $1 + 10) * 1000)) ]
}

plan $((2 * 3 + 4 * 7 + 26))
load || give_up "the module does not load"
echo 4096 >"$T/buffer_size_kb"
check "until is free at first" grep -qx free "$UNTIL"
check "max_age is 0 at first" grep -qx 0 "$MAX_AGE"

echo "$CASES" | grep -v '^$' >/tmp/cases
while read -r memory by refs <&8; do
	[ "$by" = gup ] || until_free "$memory" "$by"
	until_unpinned "$memory" "$by" "$refs"
done 8</tmp/cases

# A second holder: a pipe that the page was sent to.
echo unpinned >"$UNTIL"
hold --memory shmem --by vmsplice
PFN=${PFNS%% *}
mkfifo /tmp/pipe
exec 8<>/tmp/pipe
cat "/proc/$HOLDER/map_files/$(sed -n 's, .*/memfd:.*,,p' "/proc/$HOLDER/maps")" >&8
arm
fail
check "two holders: the report has both of them" \
	grep -q "report_page_pinners: pfn=$PFN .* count=5 .* expected=3 " "$T/trace"
release
check "two holders: the first one's put is recorded" put_by ppo-pin "$PFN"
check "two holders: that is not the end" goes_on
exec 8>&-
check "two holders: the second one's is" ended unpinned
unhold

pin_and_mark thp vmsplice 512
echo >"$T/trace"
release
check "a THP with 512 pins: the last one is the end" ended unpinned
check "a THP with 512 pins: all are recorded" \
	test "$(event page_pin_owner_put "$PFN" | grep -cE "$(by ppo-pin)")" -eq 512
unhold

pin_and_mark shmem vmsplice
echo free >"$UNTIL"
release
check "changed to free while it is marked: it is traced on" goes_on
echo unpinned >"$UNTIL"
look "$PFN"
drain_lru
check "changed to unpinned when its pin is gone: the next put is the end" ended unpinned
unhold
check "no mark, stack or put was lost" no_losses

echo free >"$UNTIL"
pin_and_mark shmem vmsplice
sleep 1.2
check "max_age=0: it is never too old" goes_on
expired=$(stat expired)
echo 1 >"$MAX_AGE"
check "set to 1, what is older is forgotten at once" wait_for 1 ended expired
check "which is counted" counted expired "$expired"
echo 2 >"$MAX_AGE"
arm
since=$(uptime_ms)
fail
watch_stalls
check "it fails again: marked anew" is_new "$since"
wait_for 4 ended expired
check "and forgotten when it is 2 seconds old" ended_within expired 2 4
echo >"$T/trace"
release
check "nothing more is told of it" silent
unhold

pin_and_mark shmem vmsplice
echo 4294967295 >"$MAX_AGE"
sleep 0.3
check "max_age=4294967295: it is not too old" goes_on
echo 100 >"$MAX_AGE"
forgotten=$(stat forgotten)
expired=$(stat expired)
disarm
check "the events are disabled: it is forgotten, not expired" \
	test "$(stat forgotten) $(stat expired)" = "$((forgotten + 1)) $expired"
# What looks for old ones would find out now that there is nothing to do.
sleep 1.1
echo 1 >"$MAX_AGE"
arm
fail
watch_stalls
wait_for 3 ended expired
check "enabled again: it expires" ended_within expired 1 3
disarm
rmmod page_pin_owner

load until=unpinned max_age=1
check "both can be given at load" \
	test "$(cat "$UNTIL") $(cat "$MAX_AGE")" = "unpinned 1"
arm
fail
watch_stalls
check "max_age given at load is in effect" wait_for 3 ended_within expired 1 3
echo 0 >"$MAX_AGE"
arm
fail
drain_lru
release
check "so is until" ended unpinned
unhold
check "no mark, stack or put was lost" no_losses
disarm
rmmod page_pin_owner

set_and_unload() {
	for _ in $(seq 2); do
		load && arm && echo 1 >"$MAX_AGE" && disarm && rmmod page_pin_owner || return 1
	done
}
check "set and unloaded at once, twice" set_and_unload
# What was left behind would run now.
sleep 1.1
check "nothing is left" fails test -e /sys/module/page_pin_owner
finish
