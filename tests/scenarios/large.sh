#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A large folio is marked as a whole: one report, puts of all its pages, and when
# it is split meanwhile its pages stay marked until the last one is freed. One of
# hugetlb's goes back to its pool, which frees no page: its story ends all the same.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# events NAME: how many there are in the trace
events() {
	grep -c "$1:" "$T/trace"
}

plan 17
load || give_up "the module does not load"
echo 4096 >"$T/buffer_size_kb"

hold --memory thp --by vmsplice --pages 512
# khugepaged would make one of them again.
echo never >/sys/kernel/mm/transparent_hugepage/enabled
head=${PFNS%% *}
arm
check "the allocation fails" fails cma_alloc_all
check_grep "it is reported with its order" \
	"report_page_pinners: pfn=$head .* stage=isolate expected=1 order=9 stack=[1-9]" "$T/trace"
check_grep "each of its 512 pages is pinned once" "pfn=$head .* count=513 mapcount=1 " "$T/trace"
check "one report, one mark" test "$(events report_page_pinners) $(stat marks)" = "1 1"

echo >"$T/trace"
release
check "512 puts are recorded" test "$(grep -c "page_pin_owner_put: pfn=$head .* refs=1 " "$T/trace")" -eq 512
check_grep "with one stack" "^stack=[0-9]+ hits=512\$" "$D/stacks"

echo 1 >/sys/kernel/debug/split_huge_pages
check "split, and still marked" grep -q "^pfn=$head order=9 " "$D/marked"
echo >"$T/trace"
unhold
last=$(printf '0x%x' $((head + 511)))
check_grep "the put of what was its last page is recorded" \
	"page_pin_owner_put: pfn=$last .* stage=isolate refs=1 .* last=1 " "$T/trace"
check "its story ends once" test "$(events page_pin_owner_free)" -eq 1
check "with the last of its pages" test "$(stat marks)" -eq 0
disarm

echo 64 >/proc/sys/vm/nr_hugepages
hold --memory hugetlb --by vmsplice --pages 512
head=${PFNS%% *}
arm
check "hugetlb: the allocation fails" fails cma_alloc_all
check_grep "hugetlb: it is reported with its order" \
	"report_page_pinners: pfn=$head .* reason=contig_range .* order=9 stack=[1-9]" "$T/trace"
release
check "hugetlb: 512 puts are recorded" \
	test "$(grep -cE "$(by ppo-pin).*page_pin_owner_put: pfn=$head .* refs=1 " "$T/trace")" -eq 512
unhold
check_grep "hugetlb: its last put is recorded" "page_pin_owner_put: pfn=$head .* last=1 " "$T/trace"
check_grep "hugetlb: back in its pool its story ends" \
	"page_pin_owner_free: pfn=$head .* cause=freed" "$T/trace"
check "hugetlb: it is no longer marked" fails grep -q "^pfn=$head " "$D/marked"
check "no mark, stack or put was lost" no_losses
disarm
finish
