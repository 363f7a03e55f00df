# shellcheck shell=dash disable=SC2034,SC2153,SC2154 source-path=SCRIPTDIR/..
# SPDX-License-Identifier: GPL-2.0
#
# One page, really held by a pipe: what is told of it from the failure to its end.

. ./lib/paths.sh

# Results of a case
CASE=8

# told_once: one holder too many, each time it was reported
told_once() {
	while read -r line; do
		count=${line##* count=} expected=${line##* expected=}
		[ $((${count%% *} - ${expected%% *})) -eq 1 ] || return 1
	done </tmp/reports && [ -n "$count" ]
}

# no_case NAME WHY: there is none here
no_case() {
	for _ in $(seq $CASE); do
		skip "$1" "$2"
	done
}

# reason_case PATH MEMORY [STAGE ERR]: the page fails in this way
reason_case() {
	local path=$1 name="$1 of $2" stage=${3:-migrate} err=${4:-[1-9][0-9]*} count='' told

	told="reason=$(reason_for "$path") stage=$stage"
	hold_for "$path" --memory "$2" --by vmsplice
	pfn=$PFNS
	arm
	check "$name: fails" fails "path_$path"
	event report_page_pinners "$pfn" >/tmp/reports
	check_grep "$name: reported with reason and stage" \
		"${told% *} err=$err ${told#* } expected=[0-9]+ order=0 stack=[1-9]" /tmp/reports
	check "$name: one more than expected" told_once
	check "$name: it is in the table" grep "^pfn=$pfn .*$told " "$D/marked"

	echo >"$T/trace"
	release
	check "$name: the put's stack names the function" \
		stack_has "$(by ppo-pin).*page_pin_owner_put: pfn=$pfn .* $told refs=1 " \
		page_cache_pipe_buf_release
	succeeds_now "$name:" "path_$path"
	unhold_from "$path"
	event page_pin_owner_free "$pfn" >/tmp/frees
	check_grep "$name: the free ends the story" "$told .* cause=freed" /tmp/frees
	check "$name: no longer marked" fails is_marked "$pfn"
	disarm
}
