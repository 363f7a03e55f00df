#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Every kind of folio, pinned as a whole or by a page of it only: it is reported under its
# first page, with its order and with what the kernel expects of such a folio; so are the
# puts of its tail pages, and the end. Huge pages are split before, while and after they are
# marked.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/paths.sh
. ./lib/folios.sh

UNPIN='unpin_user_pages(_dirty_lock)?'

# KIND ORDER FLAG PAGES FIRST COUNT PIN FAILURE STAGE EXPECTED MORE REFS FUNCTION CALLER: of
# PAGES pages COUNT are pinned from FIRST on. The folio is reported with FLAG, EXPECTED
# references are, and MORE there are; FUNCTION gives them back, REFS at a time, called by
# CALLER from near or far.
#
# Expected are: one for each mapping, 1 for a huge page that is mapped as such and 16 for one
# of 64 KiB; one for each page in the page cache or swap cache; and one for the isolation
# where the folio got as far as that. io_uring pins each page and then, as they are one
# folio, gives back all but one; a FOLL_PIN of a large folio is not 1024 references, but one.
#
# Soft offlining comes last: the CMA area is never whole again when it has succeeded there.
CASES="
mthp       4 head          16   0  16 vmsplice cma          isolate  16   16    1 $PIPE  pipe_release
mthp       4 head          32  21   1 vmsplice cma          isolate  16    1    1 $PIPE  pipe_release
thp        9 head         512 300   1 vmsplice cma          isolate   1    1    1 $PIPE  pipe_release
thp-split  0 swapbacked   512 300   1 vmsplice cma          isolate   1    1    1 $PIPE  pipe_release
shmem-thp  9 head         512   0 512 vmsplice cma          migrate 514  512    1 $PIPE  pipe_release
shmem-thp  9 head         512 300   2 splice   cma          migrate 514    2    1 $PIPE  pipe_release
ksm        0 swapbacked     2   0   1 vmsplice cma          isolate   2    1    1 $PIPE  pipe_release
ksm        0 swapbacked     3   0   3 vmsplice cma          isolate   3    3    1 $PIPE  pipe_release
swap-cache 0 owner_priv_1   1   0   1 vmsplice cma          migrate   3    1    1 $PIPE  pipe_release
swap-cache 0 owner_priv_1   4   2   1 gup      cma          migrate   3 1024 1024 $UNPIN do_syscall_64
hugetlb    9 head         512 300   1 vmsplice soft_offline migrate   2    1    1 $PIPE  pipe_release
hugetlb    9 head         512   0 512 io-uring soft_offline migrate   2    1    1 $URING __x64_sys_io_uring_register
hugetlb-shared 9 head     512  70   1 vmsplice soft_offline migrate 514    1    1 $PIPE  pipe_release
"

# reports_of_others HEAD: reports about anything else
reports_of_others() {
	grep report_page_pinners: "$T/trace" | grep -v " pfn=$1 "
}

# one_case: with the words of a line of CASES in variables of these names
one_case() {
	local name="$kind, $count of $pages by $by"

	hold_folio
	arm
	check "$name: $path fails" fails "path_$path"
	event report_page_pinners "$head" | head -n 1 >/tmp/reports
	check_grep "$name: reported with order and flags" \
		"flags=(.*\|)?$flag(\|.*)? count=.* reason=$(reason_for "$path") .* stage=$stage .* order=$order " \
		/tmp/reports
	check_grep "$name: $expected are expected" " expected=$expected " /tmp/reports
	check "$name: there are $more more" \
		test "$(field count </tmp/reports)" -eq $((expected + more))
	check "$name: one folio is reported and marked" \
		test "$(reports_of_others "$head") $(stat marks)" = " 1"

	echo >"$T/trace"
	release
	check "$name: puts of $refs are recorded, $((more / refs)) of them" \
		test "$(event page_pin_owner_put "$head" | grep -cE "$(by 'ppo-(pin|gup)').* refs=$refs ")" \
		-eq $((more / refs))
	check "$name: by $function" let_go 'ppo-(pin|gup)' "$head" "$refs" "$function" "$caller"
	succeeds_now "$name: $path" "path_$path"
	unhold
	check_grep "$name: the story ends" "page_pin_owner_free: pfn=$head .* cause=freed" "$T/trace"
	check "$name: no longer marked" fails is_marked "$head"
	disarm
}

# split_to_16 PFN: have the kernel split this huge page of HOLDER's to folios of 16 pages
split_to_16() {
	local start

	start=$(($(address "$1") & ~0x1fffff))
	printf '%d,0x%x,0x%x,4' "$HOLDER" $start $((start + 0x200000)) \
		>/sys/kernel/debug/split_huge_pages
}

plan $((13 * 10 + 9 + 6 + 1))
load || give_up "the module does not load"
echo 4096 >"$T/buffer_size_kb"

hold --memory thp --by vmsplice --pages 512 --first 300 --count 1
# khugepaged would make huge pages of them again.
echo never >$THP/enabled
head=$(head_of "$PFNS" 9)
arm
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
before=$(vmstat thp_split_page) before_failed=$(vmstat thp_split_page_failed)
echo 1 >/sys/kernel/debug/split_huge_pages
check "pinned by one page, a huge page cannot be split" \
	test "$(vmstat thp_split_page)" -eq "$before"
check "though that was tried" test "$(vmstat thp_split_page_failed)" -gt "$before_failed"
check "it stays marked as one" grep -q "^pfn=$head order=9 " "$D/marked"
echo >"$T/trace"
release
check "then the put of that page is recorded" let_go ppo-pin "$head" 1 "$PIPE" pipe_release
split_to_16 "$PFNS"
check "let go, it is split to folios of 16 pages" \
	test "$(vmstat thp_split_page)" -eq $((before + 1))
check "and stays marked as one once more" grep -q "^pfn=$head order=9 " "$D/marked"
echo >"$T/trace"
unhold
check_grep "the puts of its last 16 pages are recorded" \
	"page_pin_owner_put: pfn=$(printf '0x%x' $((head + 496))) .* stage=isolate refs=16 .* last=1 " \
	"$T/trace"
check "its story ends once" test "$(grep -c page_pin_owner_free: "$T/trace")" -eq 1
check "with the last of its pages" test "$(stat marks)" -eq 0
disarm
echo always >$THP/enabled

# A page that is pinned is unmapped and put into the swap cache, and not written.
prepare swap-cache
hold --memory anon --by vmsplice
pfn=$PFNS
arm
check "a pinned page is swapped out" ask madvise pageout
check "the allocation fails" fails cma_alloc_all
check_grep "it is in the swap cache, and not mapped" \
	"report_page_pinners: pfn=$pfn .*\|owner_priv_1\|.* count=3 mapcount=0 .* stage=migrate expected=2 " "$T/trace"
release
check "its put is recorded" let_go ppo-pin "$pfn" 1 "$PIPE" pipe_release
succeeds_now "the allocation" cma_alloc_all
check_grep "that ends its story" "page_pin_owner_free: pfn=$pfn .* cause=freed" "$T/trace"
unhold
disarm

echo "$CASES" | grep -v '^$' >/tmp/cases
while read -r kind order flag pages first count by path stage expected more refs function caller <&8; do
	one_case
done 8</tmp/cases

check "no mark, stack or put was lost" no_losses
finish
