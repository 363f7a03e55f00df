#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Bad memory. The kernel deals with a hard memory error by taking the page out of use,
# however it heard of it; nothing is migrated. A folio is marked if somebody still has
# it then, or if the kernel did not recover, and the report says of that what the
# kernel's log says. The holder's put is recorded, unpoisoning ends the story.
#
# A page that is taken out of use softly, by migrating what is in it, has the same flag
# in the end. It is told apart by its reason, memory_failure, the kernel's name for that.
# vm: --append cma=0
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

MEMORY=/sys/devices/system/memory
INJECT=/sys/kernel/debug/hwpoison

# MEMORY PAGES WHICH RESULT EXPECTED ORDER TYPE: which page of pinned memory goes bad, what
# the kernel makes of it, how many references it accounts for, and what it calls the page.
# Only of an anonymous page does it take no notice that somebody still has it. Of tmpfs it
# leaves the page in the file, of ext4 it does not; that page is dirty, or clean again.
PINNED="
anon      1 first Recovered 1 0 dirty LRU page
shmem     1 first Failed    2 0 dirty LRU page
file      1 first Failed    1 0 ..... LRU page
thp     512 last  Failed    1 9 unsplit thp
hugetlb 512 first Failed    0 9 huge page
"

# MEMORY PAGES WHICH TYPE: the same that nobody else has
UNPINNED="
anon      1 first dirty LRU page
shmem     1 first dirty LRU page
file      1 first ..... LRU page
thp     512 last  dirty LRU page
hugetlb 512 first huge page
"

# hurt HOW PFN: have the kernel hear of a memory error
hurt() {
	case $1 in
	hard_offline_page) echo $(($2 * 4096)) >"$MEMORY/hard_offline_page" ;;
	corrupt-pfn) echo "$2" >"$INJECT/corrupt-pfn" ;;
	# Of the first page. The kernel kills whoever asks for that.
	madvise)
		echo madvise hwpoison >&9
		unhold
		;;
	esac
}

unpoison() {
	echo "$1" >"$INJECT/unpoison-pfn"
}

forget_past() {
	echo >"$T/trace"
	dmesg -c >/dev/null
}

# start ARGUMENT...: hold memory, PFN is its first page, and have nothing in trace or log
start() {
	hold "$@"
	PFN=${PFNS%% *}
	forget_past
}

# pick first|last HOW: BAD is the page that goes bad
pick() {
	BAD=$PFN
	if [ "$1" = last ] && [ "$2" != madvise ]; then
		BAD=${PFNS##* }
	fi
}

# kernel_says TYPE RESULT: so it does in its log, and only that
kernel_says() {
	dmesg | grep -F "recovery action for " >/tmp/said
	cat /tmp/said
	grep -q "Memory failure: $BAD: recovery action for $1: $2\$" /tmp/said &&
		[ "$(wc -l </tmp/said)" -eq 1 ]
}

# reports: those of the page; one at least
reports() {
	event report_page_pinners "$PFN" >/tmp/reports
}

# err RESULT: what memory_failure() makes of it
err() {
	case $1 in
	Recovered | Delayed) echo 0 ;;
	*) echo -16 ;;
	esac
}

# given_back REASON STAGE: references that ppo-pin's pipe gave back
given_back() {
	paired | awk -v pattern="$(by ppo-pin).* page_pin_owner_put: pfn=$PFN .* reason=$1 stage=$2 " '
		/^ => / { if ($2 == "page_cache_pipe_buf_release") { n += refs; refs = 0 } next }
		/<stack trace>/ { next }
		{ refs = 0 }
		$0 ~ pattern { match($0, / refs=[0-9]+/); refs = substr($0, RSTART + 6) + 0 }
		END { print n + 0 }'
}

# nothing NAME: no event of that name
nothing() {
	! grep " $1: " "$T/trace"
}

# story_has_ended NAME: once, and nothing is marked any more
story_has_ended() {
	event page_pin_owner_free "$PFN" >/tmp/frees
	check "$1: its story has ended" grep -E 'cause=(freed|forgotten)$' /tmp/frees
	check "$1: once" test "$(wc -l </tmp/frees) $(stat marks)" = "1 0"
}

# pinned HOW MEMORY PAGES WHICH RESULT EXPECTED ORDER TYPE
pinned() {
	local how=$1 memory=$2 pages=$3 which=$4 result=$5 expected=$6 order=$7 name="$1, $2 pinned"
	local err refused
	shift 7
	err=$(err "$result")

	start --memory "$memory" --by vmsplice --pages "$pages"
	pick "$which" "$how"
	refused=0
	hurt "$how" "$BAD" 2>/dev/null || refused=1
	check "$name: the kernel says $result" kernel_says "$*" "$result"
	reports
	check_grep "$name: so does the report" \
		"reason=hwpoison err=$err stage=poison expected=$expected order=$order stack=[1-9][0-9]* result=$result\$" \
		/tmp/reports
	check "$name: one report" test "$(grep -c report_page_pinners: "$T/trace")" -eq 1
	check "$name: the pins are more than expected" test "$(excess)" -eq "$pages"
	check "$name: its stack leads to memory_failure()" \
		stack_has "report_page_pinners: pfn=$PFN " memory_failure
	if [ "$how" != madvise ]; then
		check "$name: the error is what the kernel returns" test "$refused" -eq $((err != 0))
		check "$name: it is in the table" \
			grep "^pfn=$PFN order=$order reason=hwpoison stage=poison .* result=$result" "$D/marked"
		check "$name: as long as somebody has it, it cannot be unpoisoned" fails unpoison "$BAD"
		check "$name: and stays marked" is_marked "$PFN"
		release
	fi
	check "$name: the holder's puts are recorded" \
		test "$(given_back hwpoison poison)" -eq "$pages"
	# A file keeps its page.
	[ "$how" = madvise ] || unhold
	unpoison "$BAD" || give_up "cannot unpoison $BAD"
	story_has_ended "$name"
}

# unpinned HOW MEMORY PAGES WHICH TYPE
unpinned() {
	local how=$1 memory=$2 pages=$3 which=$4 name="$1, $2 not pinned"
	shift 4

	start --memory "$memory" --by none --pages "$pages"
	pick "$which" "$how"
	hurt "$how" "$BAD"
	check "$name: the kernel says Recovered" kernel_says "$*" Recovered
	check "$name: nothing is reported" nothing report_page_pinners
	check "$name: nothing is marked" test "$(stat marks)" -eq 0
	[ "$how" = madvise ] || unhold
	unpoison "$BAD" || give_up "cannot unpoison $BAD"
}

# A page of the kernel's own, of which it can only hope that nobody uses it.
ignored() {
	local name="corrupt-pfn, a page of the kernel"

	forget_past
	PFN=$(sed -n 's/^ *0*\([0-9a-f]*\)000-.* : Kernel code$/0x\1/p' /proc/iomem)
	BAD=$PFN
	check "$name: the kernel refuses" fails hurt corrupt-pfn "$PFN"
	check "$name: the kernel says Ignored" kernel_says "get hwpoison page" Ignored
	reports
	check_grep "$name: so does the report" \
		"count=1 .* reason=hwpoison err=-16 stage=poison expected=0 .* result=Ignored\$" /tmp/reports
	echo "-$PFN" >"$D/mark"
}

# swap_in HOLDER ADDRESS: read a page that was swapped out, then write to it: it stays in
# the swap cache, and what is there differs from what was written to disk
swap_in() {
	dd if="/proc/$1/mem" of=/dev/null bs=1 count=1 skip="$2" 2>/dev/null
	printf x | dd of="/proc/$1/mem" bs=1 count=1 seek="$2" conv=notrunc 2>/dev/null
}

# pfn_at HOLDER ADDRESS: the page that is there
pfn_at() {
	local entry

	entry=$(dd if="/proc/$1/pagemap" bs=8 count=1 skip=$(($2 / 4096)) 2>/dev/null |
		od -A n -t x8 | tr -d ' ')
	[ "${entry#8}" != "$entry" ] || [ "${entry#a}" != "$entry" ] || return 1
	printf '0x%x' $((0x${entry#?} & 0x7fffffffffffff))
}

# The only page that the kernel does not give up at once: whoever touches it next is to
# be killed, which the swap cache remembers.
delayed() {
	local name="corrupt-pfn, dirty in the swap cache" swap where

	dd if=/dev/zero of=/tmp/swap bs=1M count=16 2>/dev/null
	swap=$(losetup -f)
	losetup "$swap" /tmp/swap
	mkswap "$swap" >/dev/null
	swapon "$swap"
	start --memory anon --by none
	where=$(address "$PFN")
	ask madvise pageout >/dev/null || give_up "$ANSWER"
	swap_in "$HOLDER" "$where"
	PFN=$(pfn_at "$HOLDER" "$where") || give_up "the page is not back"
	BAD=$PFN
	hurt corrupt-pfn "$PFN"
	check "$name: the kernel says Delayed" kernel_says "dirty swapcache page" Delayed
	reports
	check_grep "$name: so does the report, though nobody has it" \
		"count=2 .* reason=hwpoison err=0 stage=poison expected=2 order=0 stack=[1-9][0-9]* result=Delayed\$" \
		/tmp/reports
	check "$name: it is marked" is_marked "$PFN"
	unhold
	unpoison "$PFN" || give_up "cannot unpoison $PFN"
	story_has_ended "$name"
	swapoff "$swap"
}

# As long as somebody has the page, soft offlining fails before it is poisoned: until then
# no event has the flag.
soft_pinned() {
	local memory=$1 name="soft offline, $1 pinned"

	start --memory "$memory" --by vmsplice
	BAD=$PFN
	check "$name: fails" fails soft_offline "$PFN"
	reports
	check_grep "$name: reported with the kernel's name for that" \
		"reason=memory_failure err=[1-9][0-9]* stage=migrate .* stack=[1-9][0-9]*\$" /tmp/reports
	check "$name: not poisoned" fails grep 'flags=[^ ]*hwpoison' "$T/trace"
	release
	check "$name: the holder's put is recorded" \
		test "$(given_back memory_failure migrate)" -eq 1
	check "$name: not poisoned then either" fails grep 'flags=[^ ]*hwpoison' "$T/trace"
	echo >"$T/trace"
	check "$name: released, succeeds" soft_offline "$PFN"
	event page_pin_owner_put "$PFN" >/tmp/puts
	grep 'flags=[^ ]*hwpoison' /tmp/puts >/tmp/poisoned
	check_grep "$name: the flag is there when the last reference is dropped" \
		" count=0 .* reason=memory_failure .* last=1 " /tmp/poisoned
	check "$name: and not before" test "$(wc -l </tmp/poisoned)" -eq 1
	check_grep "$name: by whom the put tells" "^ *sh-$$ " /tmp/poisoned
	check "$name: and from where" \
		stack_has "page_pin_owner_put: pfn=$PFN .* last=1 " soft_offline_page
	check "$name: nothing is called a hard error" fails grep reason=hwpoison "$T/trace"
	story_has_ended "$name"
	unpoison "$PFN" || give_up "cannot unpoison $PFN"
	unhold
}

# A THP that somebody has cannot be split, and so not even be isolated.
soft_thp() {
	local name="soft offline, thp pinned"

	start --memory thp --by vmsplice --pages 512
	check "$name: fails" fails soft_offline "$PFN"
	reports
	check_grep "$name: reported as not isolated" \
		"reason=memory_failure err=-16 stage=isolate .* order=9 stack=[1-9][0-9]*\$" /tmp/reports
	check "$name: not poisoned" fails grep 'flags=[^ ]*hwpoison' "$T/trace"
	release
	check "$name: the holder's puts are recorded" \
		test "$(given_back memory_failure isolate)" -eq 512
	unhold
}

# Somebody takes a reference while the page is poisoned, which the kernel does not notice.
soft_race() {
	local name="soft offline, taken meanwhile"

	start --memory shmem --by none
	insmod /ppo_take.ko pfn="$PFN" || give_up "ppo_take.ko does not load"
	check "$name: succeeds" soft_offline "$PFN"
	reports
	check_grep "$name: reported all the same, as poisoned" \
		"flags=[^ ]*hwpoison[^ ]* count=2 .* reason=memory_failure err=0 stage=poison expected=1 order=0 stack=[1-9][0-9]*\$" \
		/tmp/reports
	check "$name: it is marked" is_marked "$PFN"
	echo >"$T/trace"
	rmmod ppo_take
	event page_pin_owner_put "$PFN" >/tmp/puts
	check_grep "$name: who had the page is told, the flag set before" \
		"^ *ppo_take-.* flags=[^ ]*hwpoison[^ ]* count=1 .* reason=memory_failure stage=poison refs=1 .* last=0 " \
		/tmp/puts
	check "$name: from where too" stack_has "page_pin_owner_put: pfn=$PFN " kthread
	check "$name: nobody else gave back anything" test "$(wc -l </tmp/puts)" -eq 1
	check "$name: unpoisoned, it is free" unpoison "$PFN"
	story_has_ended "$name"
	unhold
}

# A page that counts no references is not freed when it is unpoisoned.
uncounted() {
	local name="corrupt-pfn, second page of a block"

	insmod /ppo_block.ko || give_up "ppo_block.ko does not load"
	PFN=$(printf '0x%x' "$(cat /sys/module/ppo_block/parameters/pfn)")
	forget_past
	hurt corrupt-pfn "$PFN" 2>/dev/null
	reports
	check_grep "$name: reported" \
		"count=0 .* reason=hwpoison err=-16 stage=poison expected=0 order=0 stack=[1-9][0-9]* result=Ignored\$" \
		/tmp/reports
	check "$name: it is marked" is_marked "$PFN"
	check "$name: unpoisoned" unpoison "$PFN"
	check_grep "$name: it is forgotten" "page_pin_owner_free: pfn=$PFN .* cause=forgotten" "$T/trace"
	check "$name: it is no longer marked" fails is_marked "$PFN"
	rmmod ppo_block
}

# One that is poisoned already
again() {
	local name="corrupt-pfn again, anon pinned"

	start --memory anon --by vmsplice
	BAD=$PFN
	hurt corrupt-pfn "$PFN"
	dmesg -c >/dev/null
	check "$name: the kernel refuses" fails hurt corrupt-pfn "$PFN"
	check "$name: the kernel says Failed" kernel_says "already poisoned page" Failed
	check "$name: that is an attempt more, and the latest result" \
		grep "^pfn=$PFN .* err=-16 attempts=2 count=2 expected=1 .* result=Failed" "$D/marked"
	release
	unpoison "$PFN" || give_up "cannot unpoison $PFN"
	unhold
}

plan $((3 * 5 * 8 + 2 * 5 * 4 + 3 * 5 * 3 + 3 + 5 + 3 * 13 + 4 + 9 + 3 + 5 + 1))
load || give_up "the module does not load"
mount_files loop
echo 4096 >"$T/buffer_size_kb"
echo 64 >/proc/sys/vm/nr_hugepages

echo "$PINNED" | grep -v '^$' >/tmp/pinned
echo "$UNPINNED" | grep -v '^$' >/tmp/unpinned
arm
for how in hard_offline_page corrupt-pfn madvise; do
	while read -r line <&8; do
		# shellcheck disable=SC2086 # words
		pinned "$how" $line
	done 8</tmp/pinned
	while read -r line <&8; do
		# shellcheck disable=SC2086 # words
		unpinned "$how" $line
	done 8</tmp/unpinned
done
again
delayed
soft_pinned anon
soft_pinned shmem
soft_pinned file
soft_thp
soft_race
ignored
uncounted
check "no mark, stack or put was lost" no_losses
disarm
finish
