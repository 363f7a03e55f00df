#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The largest folio there is, 1 GiB of hugetlb's: one report and one mark for 262144 pages,
# whichever of them is pinned. A CMA area would take the room.
# vm: --mem 5120 --append 'hugepagesz=1G hugepages=2 cma=0'
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

ORDER=18

# PIN FIRST COUNT FUNCTION: COUNT pages are pinned from FIRST on, and let go by FUNCTION. Of
# an io_uring's pins one is left, as it is one folio.
CASES="
vmsplice 262143   1 $PIPE
io-uring 262000 100 $URING
"

# one_case: with the words of a line of CASES in variables of these names
one_case() {
	local name="$count of 262144 by $by"

	hold --memory hugetlb-1g --pages 262144 --by "$by" --first "$first" --count "$count"
	pfn=${PFNS%% *}
	head=$(printf '0x%x' $((pfn & ~((1 << ORDER) - 1))))
	arm
	check "$name: soft offlining fails" fails soft_offline "$pfn"
	event report_page_pinners "$head" | head -n 1 >/tmp/reports
	check_grep "$name: it is reported with its order" \
		" count=3 mapcount=1 .* reason=memory_failure err=[1-9][0-9]* stage=migrate expected=2 order=$ORDER " \
		/tmp/reports
	check "$name: one mark" test "$(stat marks)" -eq 1
	release
	check "$name: one put is recorded" \
		test "$(event page_pin_owner_put "$head" | grep -cE "$(by ppo-pin).* refs=1 ")" -eq 1
	check "$name: by $function" let_go ppo-pin "$head" 1 "$function" do_syscall_64
	unhold
	check_grep "$name: back in its pool its story ends" \
		"page_pin_owner_free: pfn=$head .* cause=freed" "$T/trace"
	check "$name: no longer marked" test "$(stat marks)" -eq 0
	disarm
}

plan $((2 * 7 + 1))
load || give_up "the module does not load"
echo "$CASES" | grep -v '^$' >/tmp/cases
while read -r by first count function <&8; do
	one_case
done 8</tmp/cases
check "no mark, stack or put was lost" no_losses
finish
