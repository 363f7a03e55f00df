#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# holders: who had the folios, in one file. Its figures are those of the put events,
# the holders come first, most folios first, and the kernel's own noise last.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# heads: the first lines of the paragraphs
heads() {
	grep '^folios=' "$D/holders"
}

# from_events: what the put events say, as lines of handle, puts, folios, ages
from_events() {
	grep -o ' page_pin_owner_put: pfn=.*' "$T/trace" | awk '
		function value(name) {
			match($0, " " name "=[^ ]*")
			return substr($0, RSTART + length(name) + 2, RLENGTH - length(name) - 2)
		}
		{
			h = value("stack"); age = value("age_us") + 0; pfn = value("pfn")
			if (!puts[h]++) min[h] = age
			if (age < min[h]) min[h] = age
			if (age > max[h]) max[h] = age
			if (!seen[h, pfn]++) folios[h]++
		}
		END { for (h in puts) print h, puts[h], folios[h], min[h], max[h] }' | sort
}

# from_holders: the same of the file
from_holders() {
	heads | sed 's/folios=\([0-9]*\) puts=\([0-9]*\) .* age_min_us=\([0-9]*\) .*age_max_us=\([0-9]*\) .* stack=\([0-9]*\).*/\5 \2 \1 \3 \4/' |
		sort
}

# same_but_folios: events and table agree in all but that
same_but_folios() {
	for file in events table; do
		awk '{ $3 = ""; print }' "/tmp/$file" >"/tmp/$file.rest"
	done
	diff /tmp/events.rest /tmp/table.rest
}

# no_more_folios: the table has as many for nearly every stack, and never more. Of two
# stacks in one folio's story one in 64 is taken for the other.
no_more_folios() {
	awk '
		NR == FNR { folios[$1] = $3; next }
		$3 > folios[$1] { print "more than", folios[$1] ":", $0; bad = 1 }
		$3 < folios[$1] { print "not", folios[$1] ":", $0; fewer++ }
		END { exit bad || !FNR || fewer * 4 > FNR }' /tmp/events /tmp/table
}

# sorted: holder, migrator, lru; most folios first
sorted() {
	heads | awk '
		{
			split($0, f, /[= ]/)
			class = /class=holder/ ? 0 : /class=migrator/ ? 1 : /class=lru/ ? 2 : 9
			if (class == 9 || NR > 1 && (class < last || class == last && f[2] + 0 > folios)) bad = 1
			last = class; folios = f[2] + 0
		}
		END { exit bad || !NR }'
}

# class_of FUNCTION: the classes of the stacks that have it
class_of() {
	awk -v function_="$1" '
		/^folios=/ { match($0, /class=[a-z]*/); class = substr($0, RSTART + 6, RLENGTH - 6) }
		/^ / && index($1, function_ "+") == 1 { print class }' "$D/holders" | sort -u
}

# first_function N: the innermost function of the Nth paragraph, but for put_page(), which
# not every compiler makes a function of
first_function() {
	awk -v want="$1" '/^folios=/ { n++; next } n == want && !/^ put_page\+/ { print $1; exit }' \
		/tmp/holders
}

plan 18
load || give_up "the module does not load"
check "before all holders is empty" test -z "$(cat "$D/holders")"
arm
echo 0 >"$T/options/stacktrace"

# Two holders: one of three pages, the other of seven. Of anonymous pages that are pinned none is
# isolated: their first puts are the holders'. Where a put is not a folio's first, the stacks
# before it may be taken for its own.
hold --memory anon --by gup --pages 3
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
check "a folio that is still held names nobody but the kernel" test -z "$(heads | grep class=holder)"
release
exec 8>&9
first=$HOLDER
hold --memory anon --by vmsplice --pages 7
second=$HOLDER
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
release
cat "$D/holders" >/tmp/holders
exec 7>&9

# And one of a page that is unmapped, and put back.
hold --memory shmem --by vmsplice
! cma_alloc_all 2>/dev/null || give_up "the allocation should have failed"
echo 1 >/proc/sys/vm/compact_memory
release

check "the one who had more comes first" sh -c "$(first_function 1 | sed 's/\(.*\)+.*/[ \1 = page_cache_pipe_buf_release ]/')"
check "with its folios, reasons and last task" sh -c "sed -n 1p /tmp/holders |
	grep '^folios=7 puts=7 reasons=.*contig_range.* pid=$second comm=ppo-pin class=holder '"
check "then the one who had fewer" sh -c "grep class=holder /tmp/holders | sed -n 2p |
	grep '^folios=3 puts=3 reasons=contig_range '"
check "and nobody else" test "$(heads | grep -c class=holder)" -eq 2
check "its stack is that of an unpin" sh -c "awk '/class=holder/ { n++ } n == 2 && /^ / { print \$1 }' /tmp/holders |
	grep -q '^unpin_user_pages'"
check "ages lie in order" sh -c "awk -F '[ =]' '/^folios=/ {
		for (i = 1; i < NF; i++) v[\$i] = \$(i + 1)
		if (v[\"age_min_us\"] + 0 > v[\"age_avg_us\"] + 0 || v[\"age_avg_us\"] + 0 > v[\"age_max_us\"] + 0) exit 1
	}' /tmp/holders"
check "unmapping and putting back is the migrator's" test "$(class_of try_to_migrate_one)" = migrator
check "putting back, too" test "$(class_of putback_movable_pages)" = migrator
exec 9>&-
exec 8>&-
exec 7>&-
wait "$first" "$second" "$HOLDER"
check "emptying a batch of the LRU is nobody's" test "$(class_of folio_batch_move_lru)" = lru
check "holders, then migrator, then lru, most folios first" sorted

disarm
from_events >/tmp/events
from_holders >/tmp/table
check "there are put events" test -s /tmp/events
check "the figures of every stack are those of its events" same_but_folios
check "its folios are no more, and fewer only where two stacks are taken for one" no_more_folios
check "the table stays when the events are off" test "$(heads | wc -l)" -eq "$(wc -l </tmp/events)"
check "no paragraph is torn" fails grep -q torn "$D/holders"
check "nothing was lost" no_losses
finish
