#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# trace-cmd and perf record the events and print every field.
# vm: --tools
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

REPORT="report_page_pinners: +pfn=0x[0-9a-f]+ flags=[a-z_|]+ count=[0-9]+ mapcount=1 mapping=[0-9a-fx(nil)]+ mt=[0-9]+ reason=contig_range err=[0-9-]+ stage=migrate expected=[0-9]+ order=0 stack=[0-9]+ *\$"
POISON="report_page_pinners: +pfn=.* reason=hwpoison err=0 stage=poison expected=1 order=0 stack=[0-9]+ result=Recovered *\$"
PUT="page_pin_owner_put: +pfn=0x[0-9a-f]+ flags=[a-z_|]+ count=[0-9]+ mapcount=[01] mapping=[0-9a-fx(nil)]+ mt=[0-9]+ reason=contig_range stage=migrate refs=1 age_us=[0-9]+ last=[01] stack=[0-9]+"
FREE="page_pin_owner_free: +pfn=0x[0-9a-f]+ reason=contig_range stage=migrate puts=[0-9]+ age_us=[0-9]+ cause=freed"

# What both record: a failed allocation, the put, the free; a memory error
cat >/tmp/work <<'END'
. ./lib.sh
hold --memory shmem --by vmsplice
cma_alloc_all
release
unhold
hold --memory anon --by vmsplice
echo $((${PFNS%% *} * 4096)) >/sys/devices/system/memory/hard_offline_page
release
unhold
END

plan 13
load || give_up "the module does not load"

check "trace-cmd records" trace-cmd record -q -e page_pin_owner -T -o /tmp/t.dat sh /tmp/work
trace-cmd report -i /tmp/t.dat >/tmp/t.txt 2>/tmp/t.err
check_grep "trace-cmd prints a report" "$REPORT" /tmp/t.txt
check_grep "trace-cmd prints a memory error" "$POISON" /tmp/t.txt
check_grep "trace-cmd prints a put" "$PUT" /tmp/t.txt
check_grep "trace-cmd prints a free" "$FREE" /tmp/t.txt
check_grep "with the function that let go" "=> page_cache_pipe_buf_release" /tmp/t.txt
grep -v '=> ' /tmp/t.txt >/tmp/lines
check "trace-cmd understands every field" fails grep -i 'fail\|error\|warning' /tmp/lines /tmp/t.err
check "trace-cmd leaves nothing attached" attached 0

if ! command -v perf >/dev/null; then
	for what in records "prints a report" "prints a memory error" "prints a put" "prints a free"; do
		skip "perf $what" "no perf here"
	done
	finish
fi
check "perf records" perf record -q -a -e 'page_pin_owner:*' -o /tmp/p.data sh /tmp/work
perf script -i /tmp/p.data >/tmp/p.txt 2>/tmp/p.err
check_grep "perf prints a report" "$REPORT" /tmp/p.txt
check_grep "perf prints a memory error" "$POISON" /tmp/p.txt
check_grep "perf prints a put" "$PUT" /tmp/p.txt
check_grep "perf prints a free" "$FREE" /tmp/p.txt
finish
