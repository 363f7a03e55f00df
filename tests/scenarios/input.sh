#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Bad input, for every parameter and every file: it is refused with the errno that
# says why and one line in the log, and nothing changes. Good input at the ends of its
# range is taken. The tables can be read in pieces, and while they change.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

P=/sys/module/page_pin_owner/parameters
INVALID='Invalid argument' RANGE='Numerical result out of range'

# load_fails PARAMETER=VALUE ERROR OURS: loading fails with this error. Each attempt
# leaves a line of ours, if OURS is not empty, and one of the kernel's own about what
# it has refused, or had us refuse. busybox makes ATTEMPTS, with both system calls.
load_fails() {
	local name=${1%%=*} ours=$ATTEMPTS kernels=$ATTEMPTS message

	dmesg -c >/dev/null
	if load "$1" 2>/tmp/insmod.log; then
		rmmod page_pin_owner
		echo "'$1' is accepted"
		return 1
	fi
	read -r message </tmp/insmod.log
	case $3 in
	'') ours=0 ;;
	=*) kernels=0 ;;
	esac
	told >/tmp/told
	awk -v ours="^page_pin_owner: $name$3" -v want="$ours $kernels" \
		-v kernels="^page_pin_owner: \`.*' invalid for parameter \`$name'" '
		/taints kernel/ { next }
		$0 ~ ours { n++; next }
		$0 ~ kernels { m++; next }
		{ others++ }
		END { exit others || n + 0 " " m + 0 != want }' /tmp/told &&
		[ "${message%": $2"}" != "$message" ] && [ ! -e "$P" ] && return 0
	echo "'$1': $message"
	cat /tmp/told
	return 1
}

# all_fail FUNCTION FIRST: FUNCTION succeeds for each line of standard input, its
# words separated by bars, with FIRST before them; says for which it does not
all_fail() {
	local status=0 cases=0

	while IFS='|' read -r one two three <&8; do
		cases=$((cases + 1))
		"$1" "$2$(printf %b "$one")" "$two" "$three" || status=1
	done 8<<-END
		$(cat)
	END
	[ "$cases" -gt 0 ] && return "$status"
}

# number_cases PARAMETER LOW HIGH
number_cases() {
	local line="=.* is out of range, $2 to $3 is accepted\$"

	cat <<-END
		$(($2 - 1))|$INVALID|$line
		$(($3 + 1))|$INVALID|$line
		4294967295|$INVALID|$line
		4294967296|$RANGE|
		-1|$INVALID|
		abc|$INVALID|
		|$INVALID|
		\\0001\\0377|$INVALID|
	END
}

number_is_checked() {
	number_cases "$@" | all_fail load_fails "$1="
}

# loads_with PARAMETER=VALUE...: all are taken, and shown
loads_with() {
	load "$@" || return 1
	for parameter in "$@"; do
		grep -qx "${parameter#*=}" "$P/${parameter%%=*}" || return 1
	done
}

# of_use: a folio can be marked, with a stack of so many frames
of_use() {
	local frames

	arm
	echo "$PFN" >"$D/mark" && is_marked "$PFN" || return 1
	frames=$(grep -c '^ ' "$D/stacks")
	echo "$frames frames"
	disarm
	[ "$frames" -ge "$1" ] && [ "$frames" -le "$2" ] && no_losses
}

# state: all that a write can change
state() {
	cat "$P"/* "$D/watch"
	sed 's/ count=.*//' "$D/marked"
}

# unchanged: it is as it was
unchanged() {
	state | cmp - /tmp/state
}

# told_lines NUMBER LINE: that many are in the log since dmesg -c, all like LINE
told_lines() {
	told >/tmp/told
	[ "$(wc -l </tmp/told)" -eq "$1" ] && ! grep -v "$2" /tmp/told && return
	echo "$1 lines expected, there are:"
	cat /tmp/told
	return 1
}

# all_refused FILE ERROR LINE: each line of standard input, as echo -e makes it, is
# refused with this error and a line in the log; and nothing changes
all_refused() {
	local status=0 cases=0

	dmesg -c >/dev/null
	while IFS='|' read -r text; do
		cases=$((cases + 1))
		refuses "$1" "$text" "$2" || status=1
	done
	unchanged && told_lines "$cases" "^page_pin_owner: $3\$" && [ "$cases" -gt 0 ] && return "$status"
}

# all_taken FILE: each line of standard input is taken, without a word in the log; and
# nothing changes
all_taken() {
	local status=0 cases=0

	dmesg -c >/dev/null
	while IFS='|' read -r text; do
		cases=$((cases + 1))
		# shellcheck disable=SC3036 # busybox has -e
		if ! echo -ne "$text" >"$1"; then
			echo "'$text' is refused"
			status=1
		fi
	done
	unchanged && told_lines 0 && [ "$cases" -gt 0 ] && return "$status"
}

# halves_refused FILE FIRST SECOND: written one after the other, neither is accepted
halves_refused() {
	dmesg -c >/dev/null
	{
		! echo -n "$2" && ! echo -n "$3"
	} 2>/dev/null >"$1" && unchanged && told_lines 2
}

# large_refused FILE TEXT: TEXT over and over, up to 1 MiB at once
large_refused() {
	local name=${1##*/}

	yes "$2" | tr -d '\n' | head -c 1048576 >/tmp/large
	dmesg -c >/dev/null
	for size in 65 4095 4096 4097 1048576; do
		dd if=/tmp/large of="$1" bs="$size" count=1
	done 2>/tmp/errors
	cat /tmp/errors
	[ "$(grep -c ": $INVALID\$" /tmp/errors)" -eq 5 ] && unchanged &&
		told_lines 5 "^page_pin_owner: $name: accepted "
}

# random_refused FILE: bytes at random, other ones each time
random_refused() {
	local name=${1##*/}

	dmesg -c >/dev/null
	for size in 1 2 3 8 17 32 62; do
		# Nothing that could be a number, or empty, by chance
		{
			printf '\001'
			head -c "$size" /dev/urandom
		} >/tmp/random
		dd if=/tmp/random of="$1" || xxd /tmp/random
	done >/tmp/bytes 2>/tmp/errors
	cat /tmp/bytes /tmp/errors
	[ "$(grep -c ": $INVALID\$" /tmp/errors)" -eq 7 ] && unchanged &&
		told_lines 7 "^page_pin_owner: $name: accepted "
}

# fails_with ERROR COMMAND...: the command fails so, without a word in the log; and
# nothing changes
fails_with() {
	local error=$1
	shift

	dmesg -c >/dev/null
	"$@" 2>&1 | grep ": $error\$" && unchanged && told_lines 0
}

write_one() {
	sh -c 'echo 1 >"$1"' - "$1"
}

truncate_it() {
	: >"$1" && unchanged
}

# steady: what changes in a table from one moment to the next is taken out
steady() {
	sed 's/ \(age\|last\)_[um]s=[0-9]*//g'
}

# in_pieces FILE: reading it in small and odd pieces gives what reading it at once does
in_pieces() {
	steady <"$1" >/tmp/whole
	for bs in 1 7 63 1000 4096 65536; do
		if ! dd if="$1" bs="$bs" 2>/dev/null | steady | cmp - /tmp/whole; then
			echo "in pieces of $bs"
			return 1
		fi
	done
}

# from_anywhere FILE: so does starting to read somewhere in it, or behind its end
from_anywhere() {
	local size

	cat "$1" >/tmp/whole
	size=$(wc -c </tmp/whole)
	for skip in 1 2 3 62 $((size / 3)) $((size - 1)) "$size" $((size + 1)) $((size + 100000)); do
		dd if=/tmp/whole bs=1 skip="$skip" 2>/dev/null >/tmp/rest
		if ! dd if="$1" bs=1 skip="$skip" 2>/dev/null | cmp - /tmp/rest ||
			! dd if="$1" bs="$skip" skip=1 2>/dev/null | cmp - /tmp/rest; then
			echo "from $skip on"
			return 1
		fi
	done
	dd if=/tmp/whole bs=5 skip=3 count=4 2>/dev/null >/tmp/rest
	dd if="$1" bs=5 skip=3 count=4 2>/dev/null | cmp - /tmp/rest
}

# again_from_the_start FILE: diff goes back to the start to print a difference
again_from_the_start() {
	{
		cat "$1"
		echo difference
	} >/tmp/whole
	diff "$1" /tmp/whole >/tmp/diff
	grep -v '^\(---\|+++\|@@\|  *\)' /tmp/diff | grep '^[-+]' >/tmp/differences
	head -n 20 /tmp/diff
	[ "$(cat /tmp/differences)" = "+difference" ]
}

# well_formed: standard input is whole paragraphs of "marked", or nothing
well_formed() {
	awk '
		NR % 2 { bad += !/^pfn=0x[0-9a-f]+ order=0 reason=manual stage=manual .* comm=[^ ]+ stack=[0-9]+/ }
		NR % 2 == 0 { bad += length($0) > 0 }
		END { exit bad > 0 || NR % 2 }'
}

# while_it_changes: readers of "marked" get whole paragraphs while marks come and go
while_it_changes() {
	local status=0 seen=0 before

	# The pfn from which on most of them are near
	# shellcheck disable=SC2086 # pfns
	set -- "$(printf '%d\n' $PFNS | sort -n | awk '
		{ pfn[NR] = $1 }
		END {
			for (i = 1; i <= NR; i++) {
				for (n = 0; i + n <= NR && pfn[i + n] < pfn[i] + 300; n++);
				if (n > most) { most = n; first = pfn[i] }
			}
			print first
		}')"
	before=$(stat marked)
	(
		while [ ! -e /tmp/enough ]; do
			echo "$1 300" >"$D/mark"
			echo "-$(($1 + 20)) 100" >"$D/mark"
			echo clear >"$D/mark"
		done
	) 2>/dev/null &
	for bs in 1 7 100 4096 1 7 100 4096 4096 4096; do
		dd if="$D/marked" bs="$bs" 2>/dev/null >/tmp/table
		seen=$((seen + $(grep -c pfn= /tmp/table)))
		if ! well_formed </tmp/table; then
			cat /tmp/table
			status=1
			break
		fi
		cat "$D/holders" "$D/stacks" "$D/stats" >/dev/null || status=1
	done
	touch /tmp/enough
	wait $!
	echo "$seen marks seen of $(($(stat marked) - before))"
	[ "$status" -eq 0 ] && [ "$seen" -gt 0 ] && [ "$(stat marked)" -gt $((before + 500)) ]
}

# counted NAME: what a number for this parameter counts, and its zero, as the log has it
counted() {
	case $1 in
	max_age) echo "seconds, 0 .never." ;;
	report_rate) echo "reports a second, 0 .no limit." ;;
	longterm_ms) echo "milliseconds, 0" ;;
	esac
}

plan 101

# words NAME: what is said of a parameter that takes one of two words
words() {
	case $1 in
	until) echo "'free' or 'unpinned'" ;;
	arming) echo "'always' or 'on_demand'" ;;
	esac
}

# Given at load
dmesg -c >/dev/null
load max_marks=x 2>/dev/null
ATTEMPTS=$(told | grep -c 'invalid for parameter')
check "what the kernel cannot read is refused" test "$ATTEMPTS" -gt 0

check "max_marks: bad values are refused" number_is_checked max_marks 1 1048576
check "depot_kib: bad values are refused" number_is_checked depot_kib 64 262144
check "stack_depth: bad values are refused" number_is_checked stack_depth 1 64
check "watch_kib: bad values are refused" number_is_checked watch_kib 64 16777216
line="=.* is out of range, 2, 4, 6 or 8 is accepted\$"
check "entries: bad values are refused" all_fail load_fails entries= <<END
0|$INVALID|$line
1|$INVALID|$line
3|$INVALID|$line
9|$INVALID|$line
10|$INVALID|$line
4294967294|$INVALID|$line
4294967296|$RANGE|
x|$INVALID|
|$INVALID|
END

line=": accepted is 'all' or names, comma-separated, of: compaction .* contig_range .* hwpoison manual\$"
check "reasons: bad values are refused" all_fail load_fails reasons= <<END
|$INVALID|$line
nonsense|$INVALID|$line
all,compaction|$INVALID|$line
\\0001\\0377|$INVALID|$line
END
for name in until arming; do
	line=": accepted is $(words $name)\$"
	check "$name: bad values are refused" all_fail load_fails $name= <<END
|$INVALID|$line
freed|$INVALID|$line
\\0001\\0377|$INVALID|$line
END
done
for name in max_age report_rate longterm_ms; do
	line=": accepted are $(counted "$name") to 4294967295\$"
	check "$name: bad values are refused" all_fail load_fails "$name=" <<END
|$INVALID|$line
-1|$INVALID|$line
1.5|$INVALID|$line
4294967296|$INVALID|$line
\\0001\\0377|$INVALID|$line
END
done
check "a parameter without a value is refused" all_fail load_fails '' <<END
max_marks|$INVALID|
max_age|$INVALID|
END

hold --memory shmem --by none --pages 200
PFN=${PFNS%% *}
check "the least of everything is taken" loads_with max_marks=1 depot_kib=64 stack_depth=1 \
	reasons=compaction until=free arming=always max_age=0 report_rate=0 watch_kib=64 entries=2 \
	longterm_ms=0
check "and is of use" of_use 1 1
rmmod page_pin_owner
check "the most of everything is taken" loads_with max_marks=1048576 depot_kib=262144 \
	stack_depth=64 reasons=all until=unpinned arming=on_demand max_age=4294967295 \
	report_rate=4294967295 watch_kib=16777216 entries=8 longterm_ms=4294967295
echo free >"$P/until"
check "and is of use" of_use 5 64
rmmod page_pin_owner
check "after all that it loads" load report_rate=0 longterm_ms=0
arm
echo "$PFN" >"$D/mark"
is_marked "$PFN" || give_up "nothing is marked"
echo "$PFN" >"$D/watch" || give_up "nothing is watched"
state >/tmp/state

# Written to parameters
for name in max_marks depot_kib stack_depth watch_kib entries; do
	check "$name cannot be written to" fails_with 'Permission denied' write_one "$P/$name"
done
line='reasons: accepted is .all. or names, comma-separated, of: compaction .* manual'
check "reasons: bad writes are refused" all_refused "$P/reasons" "$INVALID" "$line" <<'END'
\n
\0040
x
0
-1
All
all,
all all
all\nall
all,compaction
,
,compaction
compaction,
compaction,,damon
compaction damon
compaction;damon
compaction\ndamon
contig
contig_range_
Compaction
\0000
\0000all
\0377\0376
al\00001
END
check "reasons: good writes are taken" all_taken "$P/reasons" <<'END'
all
all\n
\0040all\0040\n
END
for name in until arming; do
	line="$name: accepted is $(words $name)"
	check "$name: bad writes are refused" all_refused "$P/$name" "$INVALID" "$line" <<'END'
\n
\0040
0
-1
x
Free
fre
freed
free free
unpinned,free
unpinned\nfree
Always
on_deman
on demand
always,on_demand
\0000
\0000unpinned
\0000on_demand
\0377\0376
END
done
check "until: good writes are taken" all_taken "$P/until" <<'END'
free
free\n
\0040free\t\n
END
check "arming: good writes are taken" all_taken "$P/arming" <<'END'
always
always\n
\0040always\t\n
END
for name in max_age report_rate longterm_ms; do
	line="$name: accepted are $(counted "$name") to 4294967295"
	check "$name: bad writes are refused" all_refused "$P/$name" "$INVALID" "$line" <<'END'
\n
\0040
x
-1
+1
-0
1.5
1s
0x10
1e3
1 2
1,2
1\n2
4294967296
18446744073709551616
99999999999999999999999999999999999999
never
\0000
\00001
\03771
END
	check "$name: good writes are taken" all_taken "$P/$name" <<'END'
0
0\n
\00400\0040\n
00000000000000000
END
done
for name in reasons until arming max_age report_rate longterm_ms; do
	check "$name: a page full of it is refused" refuses_and_tells "$P/$name" \
		"x$(printf %04090d 0)" "$INVALID" "$name: accepted"
done
check "reasons: nothing comes of two halves" halves_refused "$P/reasons" contig _range
check "until: nothing comes of two halves" halves_refused "$P/until" unpi nned
check "arming: nothing comes of two halves" halves_refused "$P/arming" on_de mand

# Written to the files "mark" and "watch", which take the same commands
for file in mark watch; do
	line="$file: accepted is 'PFN \[COUNT\]', '-PFN \[COUNT\]' or 'clear', one to a write"
	check "$file: what is no command is refused" all_refused "$D/$file" "$INVALID" "$line" <<END
\\n
\\0040
x
mark $PFN
clear all
clear\\0040
\\0040clear
-clear
Clear
clea
clear\\nclear
clear\\n\\n
clear\\0000
clear\\r\\n
-
--1
- 1
-$PFN -1
-1 -1
1 -1
+1
0x
-0x
0xg
0x-1
0x 1
x1
1x
1f
1.5
1e3
1,1
1-2
1  1
1 1 1
1\\t1
\\t1
\\00401
1\\0040
1\\0040\\n
-$PFN\\0040
1 x
1 0x
1\\n2
-$PFN\\n-$PFN\\n
$PFN\\n\\n
1\\r\\n
\\0000
\\00001
-$PFN\\0000
-$PFN\\00001
\\0377\\0376
\\0303\\02451
-$(printf %064d 0)
END
	line="$file: accepted are at least 1 page and pfns below 0x[0-9a-f]*"
	check "$file: what is out of range is refused" all_refused "$D/$file" "$RANGE" "$line" <<END
$PFN 0
-$PFN 0
-$PFN 0x0
18446744073709551615
-18446744073709551615
18446744073709551616
-18446744073709551616
0x10000000000000000
99999999999999999999999999999999999999
0xffffffffffffffff 1
-0xffffffffffffffff 2
$PFN 18446744073709551615
-$PFN 18446744073709551616
-0 0xffffffffffffffff
-0 0x10000000000000000
0x40000
-0x40000
-$PFN 0x40000
0xfffffffffffff
0x4000000000000 0x4000000000000
END
	check "$file: right forms are taken" all_taken "$D/$file" <<END
$PFN
$PFN\\n
$PFN 1
$PFN 0x1\\n
$((PFN))
0X${PFN#0x}
$(printf %064d $((PFN)))
END
done
line="watch: no page there is watched"
check "watch: nothing is watched there" all_refused "$D/watch" "$INVALID" "$line" <<END
-$((PFN - 1))
-$((PFN + 1)) 100
-0 $((PFN))
END
for file in mark watch; do
	check "$file: nothing comes of two halves" halves_refused "$D/$file" cle ar
done
check "reasons: large writes are refused" large_refused "$P/reasons" compaction
check "until: large writes are refused" large_refused "$P/until" unpinned
check "arming: large writes are refused" large_refused "$P/arming" on_demand
for name in max_age report_rate longterm_ms; do
	check "$name: large writes are refused" large_refused "$P/$name" 1
done
# Each 64 bytes of it are a command that is understood.
for file in mark watch; do
	check "$file: large writes are refused" large_refused "$D/$file" "-$(printf %063d $((PFN)))"
done
for file in "$P/reasons" "$P/until" "$P/arming" "$P/max_age" "$P/report_rate" \
	"$P/longterm_ms" "$D/mark" "$D/watch"; do
	check "${file##*/}: random bytes are refused" random_refused "$file"
	check "${file##*/}: truncated, nothing changes" truncate_it "$file"
done
check "mark cannot be read" fails_with "$INVALID" cat "$D/mark"

# The tables, with more in them than one read gives
for file in marked holders stacks stats ledger; do
	check "$file cannot be written to" fails_with "$INVALID" write_one "$D/$file"
done
# Holders say who holds a watched page, which may be somebody else's soon.
echo clear >"$D/watch"
mark_all() {
	for pfn in $PFNS; do
		echo "$pfn" >"$D/mark" || return 1
	done
}
unhold
hold --memory shmem --by vmsplice --pages 10
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
release
cma_alloc_all
unhold
hold --memory shmem --by none --pages 200
# Nobody is to put one between two readings.
drain_lru
check "as many marks as pages" mark_all
# shellcheck disable=SC2046 # sizes
echo "#" $(for file in marked holders stacks stats; do wc -c <"$D/$file"; done) bytes
check "marked can be read in pieces" in_pieces "$D/marked"
for file in holders stacks stats; do
	check "$file can be read in pieces" in_pieces "$D/$file"
	check "$file can be read from anywhere on" from_anywhere "$D/$file"
	check "$file can be read again from the start" again_from_the_start "$D/$file"
done
check "marked can be read while it changes" while_it_changes
unhold
# watch_some: sixteen of the pages that are held, and none that others have
watch_some() {
	local pfn

	for pfn in $(echo "$PFNS" | cut -d ' ' -f 1-16); do
		echo "$pfn" >"$D/watch" || return 1
	done
}
hold --memory shmem --by vmsplice --pages 200
drain_lru
check "some of them watched" watch_some
echo "# $(wc -c <"$D/ledger") bytes"
check "the ledger has them" test "$(grep -c '^pfn=' "$D/ledger")" -eq 16
check "ledger can be read in pieces" in_pieces "$D/ledger"
for file in ledger watch; do
	check "$file can be read from behind its end" test -z "$(dd if="$D/$file" bs=1M skip=1 2>/dev/null)"
done
unhold
check "no mark, stack or put was lost" no_losses
disarm
finish
