#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The command, on a machine that runs: it says what is missing and what mends it, watches and
# marks pages by what they are called, at the price it told before, and shows what is held.
# vm: --mem 2048 --append 'movablecore=768M page_owner=on' --timeout 300
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/pinowner.sh

# drawn TIMES: top has shown the page that often
drawn() {
	[ "$(grep -c "^$PFNS " /tmp/top)" -ge "$1" ]
}

# ends_well: top does, told to
ends_well() {
	kill -INT "$top" && wait "$top"
}

# says CODE PATTERN COMMAND...: it ends with this code, and the last line that it says matches
says() {
	local code=$1 pattern=$2
	shift 2

	ends_with "$code" "$@" && cat /tmp/said /tmp/err | tail -n 1 | grep -q -E -e "$pattern"
}

# mends: what the line below the first "missing" says is done
mends() {
	sed -n '/^missing/{n; s/^ *-> //p; q}' /tmp/said >/tmp/mend
	cat /tmp/mend
	sh /tmp/mend
}

# told_bytes: what the ledger was to take more
told_bytes() {
	sed -n 's/^  memory: .*(\([0-9]*\) bytes) for the ledger.*/\1/p' /tmp/said
}

# watches NAME FIRST PAGES: these are watched then, and the ledger has grown by what was told
watches() {
	local before

	before=$(stat ledger_bytes)
	ends_with 0 pinowner watch "$1" || return 1
	cat "$D/watch"
	echo "$before bytes before, $(stat ledger_bytes) now"
	grep -q "^watch $1: pfn 0x$(printf %x "$2")-0x$(printf %x $(($2 + $3 - 1))), $3 page" /tmp/said &&
		[ $((before + $(told_bytes))) -eq "$(stat ledger_bytes)" ] && is_watched "$2" "$3"
}

# is_watched FIRST PAGES: all of them are
is_watched() {
	sed -n 's/^pfn=\(.*\) pages=\(.*\)$/\1 \2/p' "$D/watch" | while read -r pfn pages; do
		[ $((pfn)) -gt "$1" ] || [ $((pfn + pages)) -lt $(($1 + $2)) ] || echo yes
	done | grep -q yes
}

# zone NODE FIELD: of the zone Movable of that node
zone() {
	awk -v node="$1," -v field="$2" '
		$1 == "Node" { is_it = $2 == node && $4 == "Movable" }
		is_it && $1 == field { print $2; exit }' /proc/zoneinfo
}

# sent: how many bytes went to the third serial port
sent() {
	sed -n 's/^2: .* tx:\([0-9]*\).*/\1/p' /proc/tty/driver/serial
}

mkdir -p /etc
echo 'nobody:x:65534:65534::/:/bin/sh' >/etc/passwd

plan 53
check "without the module: the code for that" ends_with $NO_MODULE pinowner check
diag </tmp/said
check_grep "without the module: what is missing" '^missing  module: not loaded' /tmp/said
check_grep "without the module: what mends it" '-> insmod page_pin_owner.ko' /tmp/said
check_grep "the kernel has the options, as far as can be seen" '^ok       kernel options: .* has all' /tmp/said
check "without the module nothing can be watched" says $NO_MODULE 'the module is not loaded' \
	pinowner watch cma:reserved

load || give_up "the module does not load"
check "all is there" says 0 '^all is there' pinowner check
diag </tmp/said
check_grep "page_owner is on" '^ok       page_owner: on' /tmp/said
check_grep "the CMA area is named" "^ok       CMA areas: .*${CMA##*/}" /tmp/said
check "as JSON" ends_with 0 pinowner check --json
check_grep "with a state" '"state": "ok"' /tmp/said
check "not root: the code for that" ends_with $PERMISSION su -s /bin/sh nobody -c 'pinowner check'
check_grep "not root: what is missing" '^missing  permission: not root' /tmp/said
check "not root: nothing can be watched" ends_with $PERMISSION \
	su -s /bin/sh nobody -c 'pinowner watch cma:reserved'
for system in debugfs tracefs; do
	umount "$(sed -n "s/^$system \([^ ]*\) .*/\1/p" /proc/mounts)"
	check "without $system: the code for that" ends_with $KERNEL pinowner check
	check "without $system: what mends it does" mends
done
check "and all is there again" ends_with 0 pinowner check

# Watching
base=$(cat "$CMA/base_pfn") count=$(cat "$CMA/count") name=cma:${CMA##*/}
check "nothing is watched" says 0 '^watched: 0 pages' pinowner watch
check "only asked" says 0 '^  time: ' pinowner watch --dry-run "$name"
check "then nothing is watched" test "$(stat watched_pages)" -eq 0
check "a CMA area, at the price that was told" watches "$name" "$base" "$count"
diag </tmp/said
check "some of it again costs nothing" watches "$(printf '0x%x-0x%x' "$base" $((base + 99)))" \
	"$base" 100
pages=$((0x$(cat /sys/devices/system/memory/block_size_bytes) / 4096))
check "a memory block" watches block:1 $pages $pages
check "the movable zone of a node" watches node:0:movable "$(zone 0 start_pfn:)" "$(zone 0 spanned)"
check "pages by number" watches 0x1000-0x10ff 4096 256
check "a block is not watched any more" says 0 '^watched: ' pinowner unwatch block:1
check "it is not" fails is_watched $pages $pages
check "nor can it be left out again" says $FAILED 'no page there is watched' pinowner unwatch block:1
check "all is left out" says 0 '^watched: 0 pages' pinowner unwatch all
check "no such area: those there are" says $FAILED "no CMA area 'x'; there is .*${CMA##*/}" \
	pinowner watch cma:x
check "no such block, no such node" fails pinowner watch block:99999 node:7:movable
check "beyond all memory" says $FAILED "is not in memory, which ends at pfn 0x$(printf %x "$(pages_in_all)")" \
	pinowner watch 0xfffffff0+1
check "no pages at all" ends_with $USAGE pinowner watch 5-4

# Marking, and what one sees of it
pinowner watch "$name" >/tmp/said
hold --memory shmem --by vmsplice
check "marks need an event" says $FAILED 'marks live while an event is enabled, and none is' \
	pinowner mark "$PFNS"
arm
check "a page is marked" says 0 '^marked: 1 folio' pinowner mark "$PFNS"
check "it is" is_marked "$PFNS"
check "and forgotten" says 0 '^marked: 0 folios' pinowner forget "$PFNS"
check "what is not marked cannot be forgotten" says $FAILED 'no page there is marked' \
	pinowner forget "$PFNS"
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
check "top, twice" ends_with 0 pinowner top --plain -n 2 --interval 500ms
sed -n '1,/^$/!{/^pinowner/,$p}' /tmp/said | diag
check "top, twice: it is that" test "$(grep -c '^pinowner top - 1 folio marked' /tmp/said)" -eq 2
check_grep "top names who has the page" \
	"^$PFNS +0 +contig_range +migrate +1 .* ppo-pin:$HOLDER for [0-9]+ m?s: .*vmsplice" /tmp/said
: >/tmp/top
pinowner top >/tmp/top &
top=$!
check "where there is no terminal it prints, again and again" wait_for 20 drawn 3
check "until it is told to end" ends_well
stty -F /dev/ttyS2 -a >/tmp/before
before=$(sent)
check "on a serial line it draws" ends_with 0 sh -c \
	'TERM=vt100 pinowner top -n 3 --interval 500ms </dev/ttyS2 >/dev/ttyS2'
check "a screen of 80 by 24" test $(($(sent) - before)) -gt 1000
check "and leaves the line as it was" sh -c 'stty -F /dev/ttyS2 -a | diff /tmp/before -'
check "the tables are all that it needs" test -z "$(ls "$T/instances")"

# Who allocated it
check "page_owner's record is in a recording" ends_with 0 pinowner record -o /tmp/r.ppo -- \
	sh -c "echo $count >$CMA/alloc 2>/dev/null; true"
pinowner report /tmp/r.ppo >/tmp/report
sed -n '/^allocated/,/^$/p' /tmp/report | diag
check_grep "and who allocated the page in the report" \
	"^allocated by ppo-pin \\(pid $HOLDER\\), GFP_HIGHUSER_MOVABLE" /tmp/report
check "with the stack" sh -c "sed -n '/^allocated/,/^$/p' /tmp/report | grep -q '^ shmem_'"
release
unhold
disarm
rmmod page_pin_owner

load watch_kib=64 entries=2 || give_up "the module does not load"
check "too many: how many fit" says $FAILED "for watch_kib=64: the first 1536 fit: pinowner watch .*watch_kib=" \
	pinowner watch "$name"
command=$(sed -n 's/.* fit: \(pinowner watch [^;]*\);.*/\1/p' /tmp/err)
# shellcheck disable=SC2086 # words
check "these do" says 0 '^watched: 1536 pages' $command
finish
