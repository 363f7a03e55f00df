#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What "make demo" shows: a session at the console of a machine whose CMA
# allocation fails. Lines that start with "| " are for the reader of the demo.
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

# events PATTERN: the events of the page that match, without the kernel's own
# stacks; handle and table tell the same in fewer lines
events() {
	grep -E "($1): pfn=$PFNS " "$T/trace" | sed 's/^ *//'
}

# stack HANDLE: its paragraph in the table
stack() {
	sed -n "/^stack=$1 /,/^\$/p" "$D/stacks"
}

# the field NAME of the event in FILE
field() {
	sed -n "s/.*[ (]$1=\([^ ]*\).*/\1/p" "$2"
}

# who did it: TASK-PID of the event in FILE, as "TASK (pid PID)"
task() {
	sed 's/ *\[.*//; s/-\([0-9]*\)$/ (pid \1)/' "$1"
}

plan 6
echo "| The module is loaded and its events are enabled:"
run "insmod /page_pin_owner.ko"
run "echo 1 > $EVENTS/enable"
echo "|"

hold --memory anon --by vmsplice
count=$(cat "$CMA/count")
echo "| A program (here: ppo-pin, pid $HOLDER) has memory in the CMA area. A driver asks for the area:"
run "echo $count > $CMA/alloc"
events report_page_pinners | tail -n 1 >/tmp/report
check "the page is reported" test -s /tmp/report
echo "|"
echo "| The allocation failed. Which page, and why?"
echo "| # cat $T/trace"
show </tmp/report
echo "| # cat $D/stacks"
stack "$(field stack /tmp/report)" | show
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
echo "| Some time later the page comes free. Who had it?"
echo "| # cat $T/trace"
show </tmp/put
echo "| Or in one file, holders first, most folios first:"
echo "| # cat $D/holders"
sed '/^$/q' "$D/holders" | tee /tmp/stack | show
check "the table of holders begins with it" \
	grep -q "^folios=1 .* class=holder stack=$(field stack /tmp/put)\$" /tmp/stack

path=$(sed -n 's/^ \([^+]*\)+.*/\1() <- /p' /tmp/stack | head -n 3 | tr -d '\n')
extra=$(($(field count /tmp/report) - $(field expected /tmp/report)))
echo "| In short: the allocation of $count pages failed at stage $(field stage /tmp/report) on page $PFNS, which had"
echo "| $extra reference more than the kernel accounts for (count=$(field count /tmp/report), expected=$(field expected /tmp/report))."
echo "| That reference was dropped $(($(field age_us /tmp/put) / 1000)) ms later by $(task /tmp/put), in"
echo "| ${path% <- }: there is the holder."
check "with the function that let go" grep -q ' page_cache_pipe_buf_release+' /tmp/stack
echo "|"
check "it is the true holder" test "$(task /tmp/put)" = "ppo-pin (pid $HOLDER)"
echo "| The same allocation again:"
run "echo $count > $CMA/alloc && echo it succeeds"
check "with the pin gone the allocation succeeds" sh -c "echo $count >$CMA/free"
unhold
finish
