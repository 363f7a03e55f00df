#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Puts that come in loops, whose stacks are known without unwinding, while the kernel has
# its own stacks begin elsewhere in each system call: every one has the stack that the
# kernel unwinds beside it.
# vm: --append randomize_kstack_offset=on
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# stacks_agree: the handle of each put in the trace leads to the stack that the kernel
# printed below it, frame by frame. But for a put of putback_movable_pages(), whose stack
# starts with that, and for what an interrupt came into, which is cut off
stacks_agree() {
	echo 1 >"$T/options/sym-offset"
	paired >/tmp/printed
	echo 0 >"$T/options/sym-offset"
	awk '
		function compare(    first, i) {
			if (!handle)
				return
			puts++
			for (first = 1; first <= printed; first++)
				if (print_[first] == frame[handle, 1])
					break
			for (i = 1; i <= frames[handle]; i++)
				if (print_[first + i - 1] != frame[handle, i])
					break
			if (i > frames[handle] && (i > 16 || first + i - 1 > printed))
				agree++
			else if (frame[handle, 1] !~ /^putback_movable_pages[+]/ &&
				 frame[handle, frames[handle]] !~ /^asm_/)
				print "stack=" handle " of line " line
			handle = 0
		}
		FNR == NR && /^stack=/ { split($1, word, "="); known = word[2]; next }
		FNR == NR { if (NF) frame[known, ++frames[known]] = $1; next }
		/ page_pin_owner_put: / {
			compare()
			line = FNR
			match($0, / stack=[0-9]+/)
			now = substr($0, RSTART + 7, RLENGTH - 7)
			next
		}
		/<stack trace>/ { handle = now; now = 0; printed = 0; next }
		/^ => / { print_[++printed] = $2; next }
		{ compare() }
		END { compare(); print puts " puts, " agree " agree" }' "$D/stacks" /tmp/printed >/tmp/agree
	tail -n 20 /tmp/agree
	grep -q '^[1-9][0-9]* puts, [1-9][0-9]* agree$' /tmp/agree && ! grep -q '^stack=' /tmp/agree
}

CASES="
shmem vmsplice
anon  vmsplice
shmem gup
anon  gup
anon  io-uring
shmem splice
shmem tee
shmem exit
shmem zerocopy
"
PAGES=64

echo "$CASES" | grep -v '^$' >/tmp/cases
plan $(($(wc -l </tmp/cases) * 2 + 2))
load || give_up "the module does not load"
ip link set lo up
echo 8192 >"$T/buffer_size_kb"
while read -r memory by <&8; do
	known=$(stat known_stacks)
	hold --memory "$memory" --by "$by" --pages $PAGES
	arm
	for pfn in $PFNS; do
		echo "$pfn" >"$D/mark"
	done
	release
	unhold
	check "$memory by $by: each put has the stack that the kernel prints" stacks_agree
	diag </tmp/agree
	check "$memory by $by: of many it was known" test $(($(stat known_stacks) - known)) -gt $((PAGES / 2))
	disarm
done 8</tmp/cases
check "of most puts it was known" test $((2 * $(stat known_stacks))) -gt "$(stat puts)"
echo "# puts=$(stat puts) known_stacks=$(stat known_stacks)"
check "no mark, stack or put was lost" no_losses
finish
