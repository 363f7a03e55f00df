#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The file mark: folios are marked and forgotten by hand, one or many, whatever is
# between them. They are reported and traced as those that the kernel failed on; what
# we do to them ourselves is not. There is a hole in this guest's memory.
# vm: --mem 3072
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# A hole of the memory's, in pfns
HOLE=$((0x80000)) HOLE_END=$((0x100000))

# mark TEXT: write that to the file; the log has nothing to say
mark() {
	dmesg -c >/dev/null
	echo "$1" >"$D/mark" && [ -z "$(told)" ]
}

# marks_it TEXT PFN, forgets_it TEXT PFN: writing TEXT does that
marks_it() {
	! is_marked "$2" && mark "$1" && is_marked "$2"
}

forgets_it() {
	is_marked "$2" && mark "$1" && ! is_marked "$2"
}

# events NAME: how many there are in the trace
events() {
	grep -c "$1:" "$T/trace"
}

# ended CAUSE PFN: its story has ended so
ended() {
	event page_pin_owner_free "$2" | grep -q "reason=manual stage=manual .* cause=$1\$"
}

# leads_to_write: the stack that the kernel printed below the report of PFN does
leads_to_write() {
	paired | grep -A 40 "report_page_pinners: pfn=$PFN " | sed -n '3,${/^ => /!q; p}' |
		grep -qx ' => ksys_write'
}

# handle_leads_to_write HANDLE: so does the stack with this handle, from its first frame on
handle_leads_to_write() {
	grep -A 3 "^stack=$1 " "$D/stacks" | sed -n 2p | grep '^ full_proxy_write+' &&
		grep -A 9 "^stack=$1 " "$D/stacks" | grep '^ ksys_write+'
}

# marked: all pfns that are marked, decimal
marked() {
	sed -n 's/^pfn=\(0x[0-9a-f]*\) .*/\1/p' "$D/marked" | xargs -r printf '%d\n'
}

# free FIRST END: the pfns in this range that the kernel says are free
free() {
	kpageflags "$1" $(($2 - $1)) | sed -n '/[4-7c-f].. *$/=' | awk -v first="$1" '{ print first + $1 - 1 }'
}

# all_marked FIELD: the pages of PFNS are, and the table has this of them
all_marked() {
	for pfn in $PFNS; do
		grep "^pfn=$pfn .*$1 " "$D/marked" || return 1
	done
}

plan 58
# Large ranges are marked in one go.
load report_rate=0 || give_up "the module does not load"
# From so far below the hole on that there are free pages: what else the guest has there, and
# in CMA, differs from boot to boot.
first=$((HOLE - 0x1000))
until [ "$(free $first $HOLE | wc -l)" -gt 1000 ]; do
	first=$((first - 0x1000))
	[ $first -gt 0 ] || give_up "there is no free memory below the hole"
done
echo "# free from $(((HOLE - first) / 256)) MiB below the hole on"
UNUSED='mark: no page there is in use' UNMARKED='mark: no page there is marked'

hold --memory shmem --by none --pages 4
PFN=${PFNS%% *}
check "with no event enabled: busy, and the log says so" refuses_and_tells "$D/mark" "$PFN" \
	"Device or resource busy" 'mark: marks live while an event is enabled, and none is'
check "with no event enabled there is nothing to clear" mark clear
arm

check "PFN in hex marks" marks_it "$PFN" "$PFN"
check "-PFN in hex forgets" forgets_it "-$PFN" "$PFN"
check "PFN in decimal marks" marks_it $((PFN)) "$PFN"
check "-PFN in decimal forgets" forgets_it -$((PFN)) "$PFN"
check "PFN COUNT marks" marks_it "$PFN 1" "$PFN"
check "-PFN COUNT forgets" forgets_it "-$PFN 0x1" "$PFN"
check "0X and capital letters are taken" marks_it "0X$(echo "${PFN#0x}" | tr a-f A-F)" "$PFN"
check "clear forgets" forgets_it clear "$PFN"
check "each time its story has ended" test "$(event page_pin_owner_free "$PFN" | grep -c cause=forgotten)" -eq 4
check "a line without newline is taken" sh -c "printf %s $PFN >$D/mark"
mark clear

arm
mark "$PFN"
check_grep "it is reported" \
	"pfn=$PFN .* reason=manual err=0 stage=manual expected=2 order=0 stack=[1-9]" "$T/trace"
check_grep "our own reference is not counted" "report_page_pinners: pfn=$PFN .* count=2 mapcount=1 " \
	"$T/trace"
check "the report's stack leads to the writer" leads_to_write
handle=$(sed -n "s/^pfn=$PFN .* stack=\([0-9]*\).*/\1/p" "$D/marked")
check "its handle too, without frames of ours" handle_leads_to_write "$handle"
check_grep "it is in the table, with who did it" \
	"^pfn=$PFN order=0 reason=manual stage=manual err=0 attempts=1 count=2 expected=2 puts=0 .* comm=sh " \
	"$D/marked"
check "our own put is not recorded" test "$(events page_pin_owner_put)" -eq 0
check "marked by hand again: accepted" mark "$PFN"
check "that is neither a report nor an attempt" \
	test "$(events report_page_pinners) $(grep -c "^pfn=$PFN .* attempts=1 " "$D/marked")" = "1 1"
check "nor a put" test "$(events page_pin_owner_put)" -eq 0
check "others were not marked" test "$(stat marks)" -eq 1
look "$PFN"
check_grep "a put by somebody else is recorded" \
	"^ *[^ ]*-$LOOKER .*page_pin_owner_put: pfn=$PFN .* reason=manual stage=manual refs=1 .* stack=[1-9]" "$T/trace"
unhold
check "its story ends when it is freed" ended freed "$PFN"
check "it is no longer marked" fails is_marked "$PFN"
check "free pages are not marked: an error that says so" \
	refuses_and_tells "$D/mark" "$(free $first $HOLE | sed -n 500p)" \
	'Invalid argument' "$UNUSED"

# Failed on by the kernel, then marked by hand; and the other way round
hold --memory shmem --by vmsplice
PFN=$PFNS
arm
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
grep -o "^pfn=$PFN .* attempts=[0-9]* " "$D/marked" >/tmp/before
check "marked by hand what the kernel has failed on: accepted" mark "$PFN"
check "it keeps its reason and its attempts" grep -qf /tmp/before "$D/marked"
check "it is not reported again" fails grep -q reason=manual "$T/trace"
check "it can be forgotten by hand" forgets_it "-$PFN" "$PFN"
mark "$PFN"
arm
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
check_grep "failed on by the kernel what was marked by hand: reported with the kernel's reason" \
	"report_page_pinners: pfn=$PFN .* reason=contig_range .* stage=migrate " "$T/trace"
check_grep "and an attempt more" "^pfn=$PFN .* attempts=[2-6] " "$D/marked"
mark clear
echo unpinned >/sys/module/page_pin_owner/parameters/until
arm
mark "$PFN"
check "until=unpinned: marked by hand it is traced" is_marked "$PFN"
drain_lru
release
check "until=unpinned: and no longer once its pin is gone" ended unpinned "$PFN"
echo free >/sys/module/page_pin_owner/parameters/until
unhold

# A large folio, by one of its tail pages
hold --memory thp --by none --pages 512
PFN=${PFNS%% *}
tail=$(printf '0x%x' $((PFN + 77)))
arm
check "a tail page marks its folio" marks_it "$tail" "$PFN"
check_grep "the folio is reported as a whole" \
	"report_page_pinners: pfn=$PFN .* count=1 .* expected=1 order=9 " "$T/trace"
check "a tail page forgets the folio" forgets_it "-$tail" "$PFN"
check "which ends its story, once" test "$(events page_pin_owner_free) $(stat marks)" = "1 0"
check "a range within it marks it" marks_it "$tail 100" "$PFN"
check "as one" test "$(stat marks)" -eq 1
check "a range within it forgets it" forgets_it "-$tail 100" "$PFN"
check "what is not marked cannot be forgotten: an error that says so" \
	refuses_and_tells "$D/mark" "-$PFN" 'Invalid argument' "$UNMARKED"
unhold

# All from below the end of low memory over the hole to our pages in CMA
hold --memory shmem --by none --pages 4
# Who empties a batch that has them puts them, too.
drain_lru
# shellcheck disable=SC2086 # words
highest=$(printf '%d\n' $PFNS | sort -n | tail -n 1)
check "a range with a hole: accepted" mark "$first $((highest + 1 - first))"
{
	free $first $HOLE
	free $((highest - 4096)) $((highest + 1))
} >/tmp/free
# After that: what is freed is no longer marked.
marked >/tmp/all
echo "# $(wc -l </tmp/all) marked, $(wc -l </tmp/free) free"
check "a range with a hole: our pages are marked" all_marked reason=manual
check "a range with a hole: so are pages below it" \
	test "$(awk -v end=$HOLE '$1 < end' /tmp/all | wc -l)" -gt 100
check "a range with a hole: none in it, none beyond the range" test -z "$(awk -v first=$first \
	-v hole=$HOLE -v hole_end=$HOLE_END -v last="$highest" \
	'$1 < first || $1 >= hole && $1 < hole_end || $1 > last' /tmp/all)"
check "a range with a hole: there are free pages in it" test "$(wc -l </tmp/free)" -gt 100
check "a range with a hole: they are not marked" test -z "$(sort /tmp/free /tmp/all | uniq -d)"
check "a range with a hole: our own puts are not recorded" all_marked puts=0
check "a range is forgotten" mark "-$first $((HOLE - first))"
check "a range is forgotten: no mark is left in it" test -z "$(marked | awk -v end=$HOLE '$1 < end')"
check "a range is forgotten: the rest is not" all_marked reason=manual
check "clear forgets all" mark clear
check "clear forgets all: none is left" test "$(stat marks)" -eq 0
ends=0
for cause in freed unpinned expired evicted forgotten; do
	ends=$((ends + $(stat $cause)))
done
check "each story has one end" test "$(stat marked)" -eq "$ends"
check "a hole has no page to mark: an error that says so" \
	refuses_and_tells "$D/mark" "$((HOLE + 5)) 1000" 'Invalid argument' "$UNUSED"
unhold

# Who has allocated memory for itself alone may take a reference of anybody else's to it for
# a bug, and this one warns of it: free_contig_range().
allocate_and_free() {
	while [ -e /tmp/going ]; do
		echo 4096 >"$CMA/alloc" && usleep 10000 && echo 4096 >"$CMA/free" && echo >>/tmp/frees
	done
}
: >/tmp/going
allocate_and_free &
before=$(stat marked)
for _ in $(seq 300); do
	echo "$(cat "$CMA/base_pfn") 16384" 2>/dev/null >"$D/mark"
done
rm /tmp/going
wait $!
echo "# $(wc -l </tmp/frees) times freed, $(($(stat marked) - before)) marked meanwhile"
check "memory is marked while CMA allocates it and frees it" \
	test "$(wc -l </tmp/frees)" -gt 20 -a $(($(stat marked) - before)) -gt 1000
check "no mark, stack or put was lost" no_losses
disarm
finish
