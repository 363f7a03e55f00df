#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The command: what it records, and reports of that, name who held the page; of the tracing
# nothing is changed, however it ends; what is wrong it says in one line, with a code.
# vm: --tools
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/pinowner.sh

# says CODE PATTERN COMMAND...: it ends with this code, and one line that matches
says() {
	local code=$1 pattern=$2
	shift 2

	ends_with "$code" "$@" && [ ! -s /tmp/said ] && [ "$(wc -l </tmp/err)" -eq 1 ] &&
		grep -q -E "^pinowner: $pattern" /tmp/err
}

# tracing: how the tracing is set
tracing() {
	ls "$T/instances"
	cd "$T" || return
	head -n 100 tracing_on buffer_size_kb trace_clock set_event events/page_pin_owner/enable \
		events/page_pin_owner/*/enable events/page_pin_owner/*/filter trace_options
	cd - >/dev/null || return
}

# is_as_before: the tracing is, as remembered by "tracing >/tmp/before"
is_as_before() {
	tracing >/tmp/after
	diff /tmp/before /tmp/after
}

# record ARGUMENT...: in the background, until it is at work
record() {
	pinowner record -o /tmp/r.ppo "$@" >/tmp/record.log 2>&1 &
	RECORDER=$!
	wait_for 20 test -d "$T/instances/pinowner-$RECORDER" &&
		wait_for 20 grep -qx 1 "$T/instances/pinowner-$RECORDER/events/page_pin_owner/enable"
}

# is_written: the put of the page is in the recording, with its stack
is_written() {
	report /tmp/r.ppo 2>/dev/null
	tells "pfn $pfn " "^let go .* ppo-pin " "^ $PIPE+" >/dev/null
}

# recorded [SIGNAL]: the recorder is told to end, and does so
recorded() {
	kill "-${1:-INT}" $RECORDER
	wait $RECORDER
}

# story PATTERN: the first story of the report in /tmp/story whose title matches
story() {
	awk -v pattern="$1" '
		/^====/ { if (found) exit; title = 1; next }
		title { title = 0; found = $0 ~ pattern }
		found' /tmp/story
}

# tells PATTERN LINE...: such a story has lines that match, in this order
tells() {
	local pattern=$1
	shift

	story "$pattern" >/tmp/told
	cat /tmp/told
	for line in "$@"; do
		# The rest of it, for the next one.
		sed -n "\\#$line#,\$p" /tmp/told >/tmp/rest
		[ -s /tmp/rest ] || { echo "not told: $line" && return 1; }
		mv /tmp/rest /tmp/told
	done
}

# report FILE: into /tmp/story
report() {
	pinowner report "$@" >/tmp/story
}

# as_nobody COMMAND...: as one who is not root
as_nobody() {
	su -s /bin/sh nobody -c "$*"
}

mkdir -p /etc
echo 'nobody:x:65534:65534::/:/bin/sh' >/etc/passwd
count=$(cat "$CMA/count")

plan 51
check "without the module it says so" says $NO_MODULE 'the module is not loaded' pinowner record --for 1s
load longterm_ms=300 || give_up "the module does not load"
check "not root" says $PERMISSION '.*run it as root' as_nobody pinowner record -o /tmp/nobody --for 1s
check "without tracefs" sh -c "umount $T"
check "it says how to mount it" says $KERNEL 'tracefs is not mounted: mount -t tracefs' pinowner record --for 1s
mount -t tracefs tracefs "$T"
check "no such reason" says $USAGE "the kernel has no reason 'contig'; it has compaction, .*contig_range.* hwpoison, manual$" \
	pinowner record -o /tmp/r.ppo --reason contig --for 1s
check "no such command" says 1 '/no/such cannot be started' pinowner record -o /tmp/r.ppo -- /no/such
check "nothing to write to" says 1 '/no/such/file cannot be written' pinowner record -o /no/such/file --for 1s
check "no room on the disk" says 1 '/dev/full cannot be written: No space left' pinowner record -o /dev/full --for 1s
check "no recording" says 1 '/no/such cannot be opened' pinowner report /no/such
check "no recording at all" says $FOREIGN '/bin/busybox is neither' pinowner report /bin/busybox
check "nothing is left of all that" test -z "$(ls "$T/instances")"

# A holder who lets go
echo 'pfn > 0' >"$EVENTS/page_pin_owner_put/filter"
tracing >/tmp/before
hold --memory shmem --by vmsplice
pfn=$PFNS holder=$HOLDER
cat >/tmp/work <<END
echo $count >$CMA/alloc
sleep 0.3
echo release >&9
sleep 1.5
exit 3
END
check "it records while a command runs" ends_with 0 pinowner record -o /tmp/r.ppo -- sh /tmp/work
check_grep "the command's failure is told, and no other" '^pinowner: sh ended with exit status: 3' /tmp/err
check "of the tracing nothing has changed" is_as_before
check "the report" ends_with 0 report /tmp/r.ppo
diag </tmp/story
check "names the holder" tells "^contig_range failed: pfn $pfn [(]shmem, order 0[)], 1 reference more than expected" \
	'^failed at stage migrate.* by sh ' '^ __cma_alloc+' \
	"^let go after [0-9]* ms by ppo-pin (pid $holder), 1 reference:" "^ $PIPE+"
check_grep "and has it in its totals" "^ *1 .* ppo-pin \(pid $holder\): $PIPE <- " /tmp/story
zcat /tmp/r.ppo >/tmp/text
check_grep "zcat shows the file" '^\[end\]$' /tmp/text
check_grep "with the kernel's version" "^kernel=$(uname -r)\$" /tmp/text
unhold
check "it is for root alone" test "$(busybox stat -c %a /tmp/r.ppo)" = 600

# Signals
for signal in INT TERM HUP; do
	check "recording until SIG$signal" record
	hold --memory anon --by vmsplice
	pfn=$PFNS
	cma_alloc_all
	sleep 0.2
	release
	unhold
	check "SIG$signal ends it" recorded $signal
	check "SIG$signal: of the tracing nothing has changed" is_as_before
	report /tmp/r.ppo
	check "SIG$signal: the recording is whole" tells "pfn $pfn [(]anon, order 0[)]" "^let go .* ppo-pin " "^ $PIPE+"
done

# Killed: the file is cut off, the instance is there until the next one
record
hold --memory shmem --by vmsplice
pfn=$PFNS
cma_alloc_all
release
# It is written from time to time.
wait_for 20 is_written
recorded KILL
check "killed, its recording can be read" ends_with $INCOMPLETE report /tmp/r.ppo
check "killed, it names the holder" tells "pfn $pfn " "^let go .* ppo-pin " "^ $PIPE+"
check_grep "killed, it says that it is cut off" 'the recording is cut off' /tmp/story
unhold
check "the next one" ends_with 0 pinowner record -o /tmp/r.ppo --for 100ms
check "removes what it has left" is_as_before

# A holder who never lets go
echo "$(cat "$CMA/base_pfn") $count" >"$D/watch"
hold --memory shmem --by vmsplice
pfn=$PFNS
pinowner record -o /tmp/r.ppo --reason contig_range -- sh -c "echo $count >$CMA/alloc; sleep 0.5" 2>/dev/null
report /tmp/r.ppo
check "of one who holds it still the ledger knows" tells "pfn $pfn " \
	"^held still: 1 reference, taken .* ago by ppo-pin (pid $HOLDER):" '^ .*vmsplice'
echo clear >"$D/watch"
pinowner record -o /tmp/r.ppo --pfn "$pfn-$pfn" -- sh -c "echo $count >$CMA/alloc" 2>/dev/null
report /tmp/r.ppo
check "or what to do so that it does" tells "pfn $pfn " '^held still' "^ pinowner watch $pfn+1\$"

# Filters
pinowner record -o /tmp/r.ppo --reason compaction -- sh -c "echo $count >$CMA/alloc" 2>/dev/null
report /tmp/r.ppo
check_grep "only for a reason" '^0 folios' /tmp/story
pinowner record -o /tmp/r.ppo --pfn 0-100 -- sh -c "echo $count >$CMA/alloc" 2>/dev/null
report /tmp/r.ppo
check_grep "only some pages" '^0 folios' /tmp/story
release
unhold

# More than there is room for
hold --memory shmem --by vmsplice --pages 1000 --quiet
cat >/tmp/work <<END
echo $count >$CMA/alloc
echo release >&9
sleep 1
END
check "events are lost" ends_with $INCOMPLETE pinowner record --buffer-kib 4 -o /tmp/r.ppo -- sh /tmp/work
check_grep "it says how many" '^pinowner: [0-9]+ events were lost' /tmp/err
check "so does the report" ends_with $INCOMPLETE report /tmp/r.ppo
check_grep "and how many" '^ [0-9]+ events did not fit' /tmp/story
check "many folios of one story are told as one" tells '^contig_range failed: [0-9]* folios, pfn ' '^failed at'
unhold

# What others record
cat >/tmp/work <<END
. ./lib.sh
hold --memory shmem --by vmsplice
cma_alloc_all
sleep 0.2
release
unhold
END
trace-cmd record -q -e page_pin_owner -T -o /tmp/t.dat sh /tmp/work >/dev/null
check "trace.dat" ends_with 0 report /tmp/t.dat
check "trace.dat names the holder" tells '^contig_range failed' '^let go .* by ppo-pin ' "^ $PIPE\$"
trace-cmd record -q -e page_pin_owner -o /tmp/t.dat sh /tmp/work >/dev/null
check "with the table of stacks" ends_with 0 report --stacks "$D/stacks" /tmp/t.dat
check "trace.dat needs none of its own" tells '^contig_range failed' '^ __cma_alloc+' '^let go .* by ppo-pin ' "^ $PIPE+"
echo 0 >"$EVENTS/page_pin_owner_put/filter"
arm
sh /tmp/work
report "$T/trace"
check "so does the trace itself" tells '^contig_range failed' '^let go .* by ppo-pin ' "^ $PIPE\$"
finish
