#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The depot: stacks from every context, each stored once, cut where an interrupt came
# in, no deeper than asked for, and counted when there is no room. The puts are those
# of a module that makes them from as many places as it is told.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

PLACES=8

# put_in CONTEXT [PLACES [TIMES]]: put the held page in that context from so many places
put_in() {
	# It does not stay loaded, and says so.
	insmod /ppo_puts.ko "pfn=$PFNS" "context=$1" "places=${2:-$PLACES}" "times=${3:-1}" 2>&1 |
		grep -q 'temporarily unavailable'
}

# begin [PARAMETER=VALUE...]: load the module, have one marked page and nothing else
begin() {
	load "$@" || give_up "the module does not load"
	arm page_pin_owner_put
	hold --memory shmem --by none
	echo "$PFNS" >"$D/mark" || give_up "the page cannot be marked"
}

end() {
	unhold
	disarm
	rmmod page_pin_owner
}

# stacks_with FUNCTION: how many stacks have it, or what the compiler made of it
stacks_with() {
	grep -c -E "^ $1(\.[a-z0-9.]+)?\+" "$D/stacks"
}

# deepest: how many frames the longest stack has
deepest() {
	awk '/^ / { n++; if (n > most) most = n; next } { n = 0 } END { print most + 0 }' "$D/stacks"
}

one_context() {
	local context=$1 function=$2 puts stacks

	puts=$(stat puts)
	check "$context: puts can be made there" put_in "$context"
	puts=$(($(stat puts) - puts))
	# The page is also put at the end, in a task.
	check "$context: all of them are recorded" test "$puts" -ge $((PLACES + 1))
	check "$context: each place has a stack of its own" \
		test "$(stacks_with "$function")" -ge "$PLACES"
	stacks=$(stat stacks)
	put_in "$context"
	# Loaded anew it lies elsewhere; each stack was new once more, none twice.
	check "$context: no more new stacks than puts" \
		test $(($(stat stacks) - stacks)) -le "$puts"
}

# stay: whoever reads holders while stacks come, again and again, finds all that were there
stay() {
	local writer reads=0

	for n in $(seq 10 10 500); do
		put_in task "$n"
	done &
	writer=$!
	put_in task 1
	handles >/tmp/before
	while kill -0 "$writer" 2>/dev/null; do
		handles >/tmp/now
		all_in /tmp/now /tmp/before || return 1
		mv /tmp/now /tmp/before
		reads=$((reads + 1))
	done
	echo "$reads reads, $(wc -l </tmp/before) stacks"
	[ "$reads" -ge 5 ]
}

# all_in FILE LINES: each of these lines, some, is in that file
all_in() {
	[ -s "$1" ] && awk '
		NR == FNR { there[$0]; next }
		!($0 in there) { print "not any more:", $0; bad = 1 }
		END { exit bad || NR == FNR }' "$1" "$2"
}

# handles: of the stacks in holders
handles() {
	sed -n 's/.* stack=//p' "$D/holders"
}

plan $((4 * 4 + 12))

begin
one_context task do_init_module
one_context softirq handle_softirqs
one_context hardirq irq_work_run
one_context nmi nmi_handle
check "no put came in the way of another" test "$(stat lost_nested)" -eq 0
check "no stack was lost" test "$(stat lost_stacks)" -eq 0
# Whatever the interrupt came into has nothing to do with the put.
check "what an interrupt came into is cut off" awk '
	/^stack=/ { irq = 0 }
	irq && /^ / { bad = 1 }
	/^ (asm_)?sysvec_irq_work\+/ { irq = /asm_/; seen = 1 }
	END { exit bad || !seen }' "$D/stacks"
check "16 frames at most" test "$(deepest)" -le 16
# Its text may be another's by the next time.
known=$(stat known_stacks)
put_in task 1 50
check "a stack that a module is on is unwound each time" \
	test "$(($(stat known_stacks) - known))" -eq 0
end

begin stack_depth=3
put_in task
check "no deeper than asked for" test "$(deepest)" -eq 3
end

begin stack_depth=64
put_in nmi
check "as deep as asked for" test "$(deepest)" -gt 12
end

begin depot_kib=64
echo 'hist:keys=pfn if stack == 0' >"$EVENTS/page_pin_owner_put/trigger"
put_in task 512
put_in task 512
cat "$D/stats" >/tmp/stats
lost=$(stat lost_put_stacks)
check "a full depot loses stacks, and keeps to its cap" \
	sh -c "[ $lost -gt 0 ] && [ $(stat depot_bytes) -le 65536 ]"
check "each lost one is an event with stack=0" \
	grep -q "hitcount: *$lost\$" "$EVENTS/page_pin_owner_put/hist"
check "and holders tells of them" grep -q "^puts=$lost stack=lost\$" "$D/holders"
check "the puts are recorded all the same" \
	grep -q "^pfn=$PFNS .* puts=$(stat puts) refs=$(stat puts) " "$D/marked"
echo '!hist:keys=pfn if stack == 0' >"$EVENTS/page_pin_owner_put/trigger"
end

begin
check "none is left out of holders because others come" stay
end
finish
