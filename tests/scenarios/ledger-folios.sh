#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# ledger-folios.sh [ENTRIES]: the ledger of large folios, and of others that are not just one
# page of one process: who has taken references to any of the pages is told under the first
# one, also when it failed to move or to be split. Given back, nothing is left of any page,
# and after a split each page has an account of its own.
# vm: --timeout 800
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/paths.sh
. ./lib/folios.sh
. ./lib/ledger.sh

URING_PIN='io_pin_pages|io_sqe_buffer_register'

# KIND ORDER PAGES FIRST COUNT PIN PATH REFS FUNCTION: of PAGES pages COUNT are pinned from FIRST
# on; FUNCTION took REFS references that are not given back. A FOLL_PIN of a large folio is
# one reference a page; of hugetlb's io_uring keeps one for all. Soft offlining comes last: the
# CMA area is never whole again when it has succeeded there.
CASES="
mthp           4  16   0  16 vmsplice     cma            16 $VMSPLICE
mthp           4  32  21   1 vmsplice     cma             1 $VMSPLICE
thp            9 512 300   1 vmsplice     cma             1 $VMSPLICE
thp            9 512   0 512 vmsplice     cma           512 $VMSPLICE
thp            9 512 300   4 gup          cma             4 $GUP
thp-split      0 512 300   1 vmsplice     cma             1 $VMSPLICE
shmem-thp      9 512   0 512 vmsplice     cma           512 $VMSPLICE
shmem-thp      9 512 300   2 splice       cma             2 splice_folio_into_pipe
ksm            0   2   0   1 vmsplice     cma             1 $VMSPLICE
ksm            0   3   0   3 vmsplice     cma             3 $VMSPLICE
swap-cache     0   1   0   1 vmsplice     cma             1 $VMSPLICE
swap-cache     0   4   2   1 gup          cma          1024 $GUP
hugetlb        9 512 300   1 vmsplice     soft_offline    1 $VMSPLICE
hugetlb        9 512   0 512 io-uring     soft_offline    1 $URING_PIN
hugetlb-shared 9 512  70   1 vmsplice     soft_offline    1 $VMSPLICE
"

# is_by HEAD REFS FUNCTION: it took so many, and nobody else any
is_by() {
	held "$1" >/tmp/named
	cat /tmp/named
	awk -v RS= -v function_="\n ($3)(\\\\.[a-z0-9.]+)?[+]" '
		/ sure=one_of / { next }
		{ refs = $0; sub(/.* refs=/, "", refs); sub(/ .*/, "", refs) }
		$0 ~ function_ { his += refs; next }
		{ others += refs }
		END { print his + 0, others + 0 }' /tmp/named >/tmp/sums
	[ "$(cat /tmp/sums)" = "$2 0" ]
}

# is_free HEAD ORDER: nothing is left of any of its pages
is_free() {
	local pfn=$(($1)) end=$(($1 + (1 << $2)))

	awk -v RS= '/^pfn=/ && !/ class=lru / { print $1 }' "$D/ledger" |
		while IFS='=' read -r _ at; do
			[ $((at)) -lt "$pfn" ] || [ $((at)) -ge "$end" ] || echo "$at"
		done | grep . && return 1
	return 0
}

# one_case: with the words of a line of CASES in variables of these names
one_case() {
	local name="$kind, $count of $pages by $by"

	hold_folio
	check "$name: who took $refs is named" is_by "$head" "$refs" "$function"
	check "$name: with the order" grep -q " order=$order " /tmp/named
	[ "$order" -eq 0 ] || echo 1 >/sys/kernel/debug/split_huge_pages
	arm
	check "$name: $path fails" fails "path_$path"
	check "$name: he is named still" is_by "$head" "$refs" "$function"
	check "$name: with the reason" grep -q " reason=$(reason_for "$path") " /tmp/named
	release
	check "$name: given back, nothing is left" wait_for 5 is_nobodys "$head"
	unhold
	check "$name: nor of any of its pages" wait_for 5 is_free "$head" "$order"
	disarm
}

plan $((15 * 7 + 5))
load longterm_ms=300 "entries=${1:-8}" || give_up "the module does not load"
watch 0 "$(pages_in_all)"

# Split while nobody holds it; then one of its pages is held, and then the process ends.
hold --memory thp --by vmsplice --pages 512 --first 300 --count 1
head=$(head_of "$PFNS" 9)
release
# khugepaged would make huge pages of them again.
echo never >$THP/enabled
before=$(vmstat thp_split_page)
echo 1 >/sys/kernel/debug/split_huge_pages
check "a huge page is split" test "$(vmstat thp_split_page)" -gt "$before"
check "nobody has any of its pages" wait_for 5 is_free "$head" 9
check "each page has an account of its own" test "$(look "$PFNS" && held "$PFNS" | grep -c .)" = 0
unhold
check "and nobody has when they are free" wait_for 5 is_free "$head" 9
echo always >$THP/enabled

echo "$CASES" | grep . >/tmp/cases
while read -r kind order pages first count by path refs function <&8; do
	one_case
done 8</tmp/cases
grep -E "ledger|watched|untold|lost_" "$D/stats" | diag
check "no stack was lost" grep -qx lost_stacks=0 "$D/stats"
finish
