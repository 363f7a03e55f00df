#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 100 000 folios fail to migrate in one system call. Whatever the caps, the records,
# and all that is counted as lost or evicted, add up to what the kernel itself says
# has failed, reports stay below their limit, and the tables stay readable.
# vm: --mem 2048 --nodes 2 --append cma=0 --timeout 300
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

PAGES=100000

# histogram EVENT: how often it came, from its trigger
histogram() {
	awk '/^ *Hits:/ { print $2 }' "$EVENTS/$1/hist"
}

# triggers [!]: count reports and ends in the kernel; with ! no more
triggers() {
	echo "$1hist:keys=reason" >"$EVENTS/report_page_pinners/trigger"
	echo "$1hist:keys=cause" >"$EVENTS/page_pin_owner_free/trigger"
}

# storm: have all pages fail, with the kernel's count of it in $fail_count
# and how long it took in $seconds
storm() {
	before=$(vmstat pgmigrate_fail)
	seconds=$(date +%s)
	ppo-move "$HOLDER" 0 1 >/tmp/not_moved
	seconds=$(($(date +%s) - seconds + 1))
	fail_count=$(($(vmstat pgmigrate_fail) - before))
	echo "# $fail_count failed; $(grep -E '^(marks|marked|repeated|evicted|reports|lost_marks.*|lost_reports|mark_bytes)=' "$D/stats" | tr '\n' ' ')"
}

# well_formed: every line of standard input is one of marked, whole
well_formed() {
	awk '
		/^$/ { next }
		!/^pfn=0x[0-9a-f]+ order=0 reason=syscall_or_cpuset stage=migrate err=[0-9]+ attempts=[0-9]+ count=[0-9]+ expected=[0-9]+ puts=[0-9]+ refs=[0-9]+ age_us=[0-9]+ last_us=[0-9]+ pid=[0-9]+ comm=ppo-move stack=[0-9]+( put_pid=[0-9]+ put_comm=[^ ]+ put_stack=([0-9]+|lost))?$/ {
			if (bad++ < 3)
				print
		}
		END { print NR / 2, "paragraphs"; exit bad || !NR }'
}

# changing_is_well_formed: so is what marked gives, also at times when many folios are
# marked meanwhile
changing_is_well_formed() {
	local tries=0 changed=0 before

	while [ "$changed" -lt 2 ] && [ "$tries" -lt 400 ]; do
		tries=$((tries + 1))
		before=$(stat marked)
		cat "$D/marked" >/tmp/marked
		if ! [ -s /tmp/marked ]; then
			usleep 50000
			continue
		fi
		[ "$(stat marked)" -eq "$before" ] || changed=$((changed + 1))
		well_formed </tmp/marked || return 1
	done
	echo "$changed of $tries times it changed"
	[ "$changed" -eq 2 ]
}

plan 23
hold --memory shmem --by vmsplice --pages $PAGES --quiet

load max_marks=1000 depot_kib=64 || give_up "the module does not load"
check "nothing marked takes no memory for marks" test "$(stat mark_bytes)" -eq 0
arm
echo 0 >"$T/tracing_on"
triggers
storm
check "the kernel says that 100 000 pages have failed" test "$fail_count" -ge $PAGES
check "and so does the system call" test "$(cat /tmp/not_moved)" -eq $PAGES
check "marked or counted as lost: all that failed" \
	test "$(sum 'marked|repeated|lost_marks_.*')" -eq "$fail_count"
check "each mark was reported, or counted as one report too many" \
	test "$(sum 'reports|lost_reports')" -eq "$(stat marked)"
check "each report was made" test "$(histogram report_page_pinners)" -eq "$(stat reports)"
check "no more of them than allowed in a second" test "$(stat reports)" -le $(((seconds + 1) * 1000))
check "but as many" test "$(stat reports)" -ge 1000
check "never more than allowed" test "$(stat marks)" -le 1000
check "the latest are those that are kept" test "$(stat marks)" -ge 990
check "each mark is there or has ended" test "$(stat marked)" -eq \
	"$(sum 'marks|freed|unpinned|expired|evicted|forgotten')"
check "each end was told" test "$(histogram page_pin_owner_free)" -eq "$(stat evicted)"
check "no call of a hook went by unseen" test "$(sum 'lost_nested|lost_calls')" -eq 0
# 128 bytes a record, 264 a block of 64 pages, 4 KiB a table; caps of 1000 and 4096
check "memory stays within what the caps say" \
	test "$(stat mark_bytes)" -le $((1000 * 128 + 4096 + 4096 * 264 + 16 * 4096))
cat "$D/marked" >/tmp/marked
check "marked shows each folio once" \
	test "$(grep -o '^pfn=[^ ]*' /tmp/marked | sort -u | wc -l)" -eq "$(stat marks)"
triggers '!'
disarm
check "with the events off marks take no memory" \
	sh -c "grep -q '^mark_bytes=0' $D/stats && grep -q '^reserve_bytes=0' $D/stats"
rmmod page_pin_owner

load || give_up "the module does not load again"
arm page_pin_owner_put
echo 0 >"$T/tracing_on"
storm
check "the default cap: marked or counted as lost is all that failed" \
	test "$(sum 'marked|repeated|lost_marks_.*')" -eq "$fail_count"
check "32768 of them are marked, as many as may be in one go" test "$(stat marks)" -eq 32768
cat "$D/marked" >/tmp/marked
check "marked shows all of them, each once" \
	test "$(grep -o '^pfn=[^ ]*' /tmp/marked | sort -u | wc -l)" -eq 32768
(
	while [ ! -e /tmp/enough ]; do
		echo clear >"$D/mark"
		ppo-move "$HOLDER" 0 1 >/dev/null
	done
) &
check "while it changes, every paragraph is whole" changing_is_well_formed
tail -n 2 /tmp/check.log | diag
cat "$D/holders" >/tmp/holders
touch /tmp/enough
wait $!
check "holders too" sh -c "grep -q '^folios=' /tmp/holders && ! grep -q torn /tmp/holders"
check "no stack or put was lost" \
	test "$(sum 'lost_nested|lost_put_stacks|lost_stacks|lost_calls|lost_tried')" -eq 0
release
unhold
check "all of them end with the memory" test "$(stat marks)" -eq 0
disarm
finish
