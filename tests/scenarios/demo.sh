#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What "make demo" shows: a session at the console of a machine whose CMA
# allocation fails. Lines that start with "| " are for the reader of the demo; what pinowner
# has recorded goes to the third serial port.
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

# show: standard input, for the reader
show() {
	sed 's/^/| /'
}

# run COMMAND: show a command as typed, and what it prints
run() {
	echo "| # $1"
	sh -c "$1" 2>&1 | show
}

# events PATTERN: the events of the page that match
events() {
	grep -E "($1): pfn=$PFNS " "$T/trace" | sed 's/^ *//'
}

# the field NAME of the event in FILE
field() {
	sed -n "s/.*[ (]$1=\([^ ]*\).*/\1/p" "$2"
}

# who did it: TASK-PID of the event in FILE, as "TASK (pid PID)"
task() {
	sed 's/ *\[.*//; s/-\([0-9]*\)$/ (pid \1)/' "$1"
}

# the events go to the instance of "pinowner record" too
recording() {
	grep -qx 1 "$T/instances/pinowner-$recorder/events/page_pin_owner/enable"
}

hostname lab
plan 11
echo "| The module is loaded and its events are enabled, and pinowner records them in the background:"
run "insmod /page_pin_owner.ko"
run "echo 1 > $EVENTS/enable"
echo "| # pinowner record &"
(cd /tmp && exec pinowner record) >/tmp/record.log 2>&1 &
recorder=$!
check "pinowner records" wait_for 20 recording
echo "|"

hold --memory anon --by vmsplice
count=$(cat "$CMA/count")
echo "| A program (here: ppo-pin, pid $HOLDER) has memory in the CMA area. A driver asks for the area:"
run "echo $count > $CMA/alloc"
events report_page_pinners | tail -n 1 >/tmp/report
check "the page is reported" test -s /tmp/report
echo "|"
echo "| The allocation failed, on which page? It had count - expected references too many."
echo "| # cat $T/trace"
show </tmp/report
echo "|"
sleep 0.3

release
# The put that brought the page back to what the kernel expects, by somebody else
# than the one who tried to move it, is the holder's.
events page_pin_owner_put | awk -v want="$(field expected /tmp/report)" -v mover="$(task /tmp/report)" '
	{
		count = $0; sub(/.* count=/, "", count)
		who = $0; sub(/ *\[.*/, "", who); sub(/-[0-9]*$/, " (pid&)", who); sub(/pid-/, "pid ", who)
		if (count + 0 <= want + 0 && who != mover) { print; exit }
	}' >/tmp/put
check "the put is recorded" test -s /tmp/put
check "it is the true holder" test "$(task /tmp/put | sed 's/^<[.][.][.]>/ppo-pin/')" = "ppo-pin (pid $HOLDER)"
echo "| Some time later the page comes free. Who had it?"
echo "| # cat $T/trace"
show </tmp/put
sed '/^$/q' "$D/holders" >/tmp/stack
check "the table of holders begins with it" \
	grep -q "^folios=1 .* class=holder stack=$(field stack /tmp/put)\$" /tmp/stack
echo "|"
echo "| The same allocation again:"
run "echo $count > $CMA/alloc && echo it succeeds"
check "with the pin gone the allocation succeeds" sh -c "echo $count >$CMA/free"
echo "|"

kill -INT $recorder
check "the recording ends" wait $recorder
(cd /tmp && pinowner report) >/tmp/story 2>&1
echo "| All of that in words, by pinowner:"
echo "| # pinowner report"
show </tmp/story
check_grep "pinowner tells which page it was" \
	"^contig_range failed: pfn $PFNS [(]anon, order 0[)], 1 reference more than expected$" /tmp/story
check_grep "and who had it" "^let go after [0-9]+ ms by ppo-pin [(]pid ${HOLDER}[)], 1 reference:$" /tmp/story
check_grep "with the function that let go" '^ page_cache_pipe_buf_release[+]' /tmp/story
stty -F /dev/ttyS2 raw -echo
check "the recording is sent to the host" dd if=/tmp/pinowner.ppo of=/dev/ttyS2 bs=64k
unhold
finish
