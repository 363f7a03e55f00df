#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What is watched: ranges come together and apart, the caps hold to the byte and say how
# much fits, what is refused changes nothing, and all memory comes back. Of marked pages
# no put is lost while others come to be watched, or are not any more.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# Bytes of a table, and of a chunk of 512 pages besides what each page takes
TABLE=4096 CHUNK=104

# ranges: what is watched, each as FIRST+PAGES from BASE on
ranges() {
	sed -n 's/^pfn=\(.*\) pages=\(.*\)$/\1 \2/p' "$D/watch" | while read -r pfn pages; do
		echo $((pfn - BASE))+"$pages"
	done | xargs
}

# is_watched RANGES CHUNKS: nothing else is, in memory for so many chunks, all of which lie
# in the same two tables
is_watched() {
	local pages bytes=0

	pages=$(echo "$1" | awk '{ for (i = 1; i <= NF; i++) { sub(/.*\+/, "", $i); n += $i } print n + 0 }')
	[ "$2" -eq 0 ] || bytes=$((2 * TABLE + $2 * (CHUNK + 512 * PAGE)))
	echo "$(ranges) ($(stat watched_pages) pages, $(stat ledger_bytes) bytes); not $1 ($bytes bytes)"
	[ "$(ranges)" = "$1" ] && [ "$(stat watched_pages)" -eq "$pages" ] &&
		[ "$(stat ledger_bytes)" -eq "$bytes" ] && [ "$(stat ledger_page_bytes)" -eq "$PAGE" ]
}

# watch FIRST PAGES: from BASE on
watch() {
	echo "$((BASE + $1)) $2" >"$D/watch"
}

# unwatch FIRST PAGES
unwatch() {
	echo "-$((BASE + $1)) $2" >"$D/watch"
}

# becomes COMMAND FIRST PAGES RANGES CHUNKS: that is watched after the command
becomes() {
	"$1" "$2" "$3" && is_watched "$4" "$5"
}

# is_full PAGES FIRST FIT: so many pages from FIRST on are too many, of which the first FIT fit;
# nothing changes
is_full() {
	local before

	before=$(ranges; stat ledger_bytes)
	refuses_and_tells "$D/watch" "$((BASE + $2)) $1" 'No space left on device' \
		"watch: $1 pages are too many for watch_kib=[0-9]*, the first $3 fit\$" &&
		[ "$(ranges; stat ledger_bytes)" = "$before" ]
}

# too_many_ranges TEXT: refused, and nothing changes
too_many_ranges() {
	local before

	before=$(ranges; stat ledger_bytes)
	refuses_and_tells "$D/watch" "$1" 'No space left on device' \
		'watch: accepted are at most 16 ranges$' && [ "$(ranges; stat ledger_bytes)" = "$before" ]
}

# known PFN: what the ledger knows of who has it, but for how long
known() {
	awk -v RS= -v pfn="pfn=$1 " 'index($0, pfn) == 1 && !/ class=lru /' "$D/ledger" |
		sed 's/ age_ms=[0-9]* long=[01]//'
}

every_other() {
	for i in $(seq 15); do
		watch $((5000 + 2 * i)) 1 || return 1
	done
	[ "$(ranges | wc -w)" -eq 16 ]
}

# no_put_lost ARMING: PFN is put 8000 times while another page is watched, and is not, over and
# over; when it changes who records them, some may be recorded twice
no_put_lost() {
	local puts rounds=0 turns=0

	echo "$1" >/sys/module/page_pin_owner/parameters/arming
	rm -f /tmp/enough
	: >/tmp/turns
	arm
	echo "$PFN" >"$D/mark" && wait_for 10 grep -qx armed=1 "$D/stats" || return 1
	(
		while [ ! -e /tmp/enough ]; do
			watch 0 1
			unwatch 0 1
			echo >>/tmp/turns
		done
	) &
	turner=$!
	puts=$(stat puts)
	while [ "$rounds" -lt 20 ] || [ "$(wc -l </tmp/turns)" -lt 10 ]; do
		insmod /ppo_puts.ko "pfn=$PFN" context=task places=8 times=50 2>/dev/null
		rounds=$((rounds + 1))
		[ "$rounds" -lt 1000 ] || break
	done
	puts=$(($(stat puts) - puts))
	touch /tmp/enough
	wait "$turner"
	turns=$(wc -l </tmp/turns)
	disarm
	echo "$puts puts recorded of $((rounds * 400)), $turns times watched and not" | tee /tmp/puts
	[ "$puts" -ge $((rounds * 400)) ] && [ "$turns" -ge 10 ]
}

plan 44
BASE=$(cat "$CMA/base_pfn") COUNT=$(cat "$CMA/count") PAGE=104
load || give_up "the module does not load"
check "at first nothing is" is_watched '' 0
check "one page" becomes watch 0 1 '0+1' 1
check "more of the same 512" becomes watch 0 512 '0+512' 1
check "one behind it" becomes watch 512 1 '0+513' 2
check "some that are watched already" becomes watch 100 600 '0+700' 2
check "all that are" becomes watch 0 700 '0+700' 2
check "not the middle" becomes unwatch 100 500 '0+100 600+100' 2
check "not the first ones" becomes unwatch 0 100 '600+100' 1
check "nor some, and others that are not" becomes unwatch 500 120 '620+80' 1
check "those that are not alone are refused" refuses_and_tells "$D/watch" "-$((BASE + 100))" \
	'Invalid argument' 'watch: no page there is watched$'
check "and nothing changes" is_watched '620+80' 1
check "two ranges" becomes watch 100 50 '100+50 620+80' 2
check "joined by what lies between" becomes watch 150 470 '100+600' 2
check "what touches it" becomes watch 700 1 '100+601' 2
check "one of the kernel's goes as it comes" sh -c "echo 0 >$D/watch && echo -0 >$D/watch"
check "and nothing is left of it" is_watched '100+601' 2

check "16 ranges" every_other
check "not one more" too_many_ranges "$((BASE + 9000))"
check "nor two of one" too_many_ranges "-$((BASE + 200))"
check "but one of two" watch 5003 1
check "and one more then" watch 9000 1
echo clear >"$D/watch"
check "cleared, nothing is" is_watched '' 0
check "there may be nothing to clear" sh -c "echo clear >$D/watch"
check "all of the area" becomes watch 0 "$COUNT" "0+$COUNT" $((COUNT / 512))

hold --memory shmem --by vmsplice
PFN=$PFNS at=$((PFNS - BASE))
drain_lru
known "$PFN" >/tmp/known
check_grep "who holds a page is known" "^pfn=$PFN .* comm=ppo-pin " /tmp/known
check "all but that page and its like" sh -c \
	"echo -$((BASE)) $((at - 3)) >$D/watch; echo -$((PFN + 4)) $((COUNT - at - 4)) >$D/watch"
check "are not watched" test "$(stat watched_pages)" -eq 7
watch $((at + 1)) 600
watch $((at + 1)) 10
unwatch $((at + 2)) 300
refuses "$D/watch" "0 0xfffffffff" 'Numerical result out of range' >/dev/null
known "$PFN" >/tmp/now
check "and it is still known, whatever else is watched" cmp /tmp/known /tmp/now
echo clear >"$D/watch"
for arming in always on_demand; do
	check "$arming: no put is lost" no_put_lost $arming
	diag </tmp/puts
done
release
unhold
rmmod page_pin_owner

PAGE=56
load entries=4 watch_kib=64 || give_up "the module does not load"
check "4 entries: 512 pages fit into 64 KiB" is_full 513 0 512
check "and these do" becomes watch 0 512 '0+512' 1
check "not one more" is_full 1 512 0
check "those that are watched do not count" is_full 600 0 512
unwatch 0 512
check "from amid 512 fewer fit" is_full 1000 100 412
check "and these do" becomes watch 100 412 '100+412' 1
rmmod page_pin_owner

PAGE=32
load entries=2 watch_kib=64 || give_up "the module does not load"
check "2 entries: 1536 pages fit into 64 KiB" is_full "$COUNT" 0 1536
check "one third" becomes watch 0 512 '0+512' 1
check "another" becomes watch 1024 512 '0+512 1024+512' 2
check "now one more fits" is_full 2000 512 1024
check "and it does" becomes watch 512 1024 '0+1536' 3
check "and that is the cap" is_full 1 1536 0
check "within which it is" test "$(stat ledger_bytes)" -le "$(stat ledger_cap_bytes)"
check "with pages watched it unloads, nothing is left" sh -c "rmmod page_pin_owner && ! test -e $D"
finish
