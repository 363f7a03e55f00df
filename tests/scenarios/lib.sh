# shellcheck shell=dash disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# For the scenarios, sourced in the guest: KTAP results, tracefs, CMA and pins.

T=/sys/kernel/tracing
EVENTS=$T/events/page_pin_owner
D=/sys/kernel/debug/page_pin_owner
CMA=$(echo /sys/kernel/debug/cma/*)

# Who lets go, in the stack of a put. Compilers inline, so there are alternatives.
PIPE=page_cache_pipe_buf_release
URING='io_buffer_unmap|(__)?io_sqe_buffers_unregister'

# How many times slower than the lab's this kernel is: the debug kernel has kmemleak, that
# of the name kcsan
PATIENCE=1
[ ! -e /sys/kernel/debug/kmemleak ] && [ ! -e /sys/kernel/debug/kcsan ] || PATIENCE=8

planned=0 done=0 failed=0
THREADS=none

# plan N: how many results will follow
plan() {
	planned=$1
	echo "KTAP version 1"
	echo "1..$planned"
}

# diag: show standard input as comments
diag() {
	sed 's/^/# /'
}

# known_now: what the module and the trace know, for who asks why a check has failed
known_now() {
	local table

	for table in stats marked holders watch ledger; do
		head -n 100 "$D/$table" 2>/dev/null | sed "s/^/# $table: /"
	done
	tail -n 300 "$T/trace" 2>/dev/null | sed 's/^/# trace: /'
}

# check NAME COMMAND...: a result, ok if the command succeeds
check() {
	local name=$1
	shift

	done=$((done + 1))
	if "$@" >/tmp/check.log 2>&1; then
		echo "ok $done - $name"
	else
		# What comes after the first may come of it.
		[ "$failed" -gt 0 ] || known_now
		echo "not ok $done - $name"
		failed=$((failed + 1))
		echo "# failed: $*"
		diag </tmp/check.log
	fi
}

# check_grep NAME PATTERN FILE: ok if a line of FILE matches
check_grep() {
	check "$1" grep -E -m 1 -e "$2" "$3"
	[ -s /tmp/check.log ] || echo "# no line of $3 matches $2"
}

# succeeds_now NAME COMMAND: a result, ok if what failed before succeeds now, or soon: where
# it is not at once, which is in AT_ONCE, the trace tells who was in its way
succeeds_now() {
	local tries=3

	AT_ONCE=true
	until "$2"; do
		AT_ONCE=false
		tail -n 100 "$T/trace" | diag
		[ $((tries -= 1)) -gt 0 ] || break
		usleep $((1000000 * PATIENCE))
	done
	check "$1 succeeds now" test $tries -gt 0
}

# skip NAME WHY: a result that could not be had here
skip() {
	done=$((done + 1))
	echo "ok $done - $1 # SKIP $2"
}

# fails COMMAND...: succeed if the command fails
fails() {
	! "$@"
}

# no_fair_server: on a processor that was starved for a second it has others run all the same,
# and counts as a task: when the processor goes offline then the kernel warns of that
no_fair_server() {
	for runtime in /sys/kernel/debug/sched/fair_server/*/runtime; do
		[ ! -e "$runtime" ] || echo 0 >"$runtime"
	done
}

# finish: end the scenario with the status its results deserve
finish() {
	[ "$done" -eq "$planned" ] || echo "# $done results, $planned planned"
	[ "$failed" -eq 0 ] && [ "$done" -eq "$planned" ]
	exit
}

# give_up WHY: end at once, the rest makes no sense
give_up() {
	known_now
	echo "Bail out! $*"
	exit 1
}

# wait_for SECONDS COMMAND...: repeat until it succeeds, or fail in the end
wait_for() {
	local tries=$(($1 * 10 * PATIENCE))
	shift

	until "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		usleep 100000
	done
}

# uptime_ms: since the guest was booted
uptime_ms() {
	sed 's/\.\([0-9]*\) .*/\10/' /proc/uptime
}

# load [PARAMETER=VALUE...]: load the module
load() {
	insmod /page_pin_owner.ko "$@"
}

# arm [EVENT...]: start an empty trace of the module's events (all), with stacks
arm() {
	echo 0 >"$T/tracing_on"
	echo >"$T/trace"
	echo 1 >"$T/options/stacktrace"
	for event in "${@:-.}"; do
		echo 1 >"$EVENTS/$event/enable"
	done
	echo 1 >"$T/tracing_on"
}

# disarm: disable the module's events
disarm() {
	echo 0 >"$EVENTS/enable"
}

# stat NAME: a figure of the module's
stat() {
	sed -n "s/^$1=//p" "$D/stats"
}

# sum PATTERN: the sum of the module's figures whose names match
sum() {
	awk -F = -v pattern="^($1)$" '$1 ~ pattern { n += $2 } END { print n + 0 }' "$D/stats"
}

# vmstat NAME: a figure of the kernel's
vmstat() {
	sed -n "s/^$1 //p" /proc/vmstat
}

# attached 0|1: is the module attached to the kernel?
attached() {
	[ "$(stat attached)" -eq "$1" ]
}

# no_losses: the module could record all there was
no_losses() {
	! grep '^lost_.*=[1-9]' "$D/stats"
}

# few_missed: no change of a watched page was missed but within another one. Where the guest's
# processors run in parallel the host may stop one amid a change, which others do not wait for:
# one in 500 then.
few_missed() {
	local few=0 missed=$(($(stat lost_changes) - $(stat lost_nested)))

	[ -z "$PARALLEL" ] || few=$(($(stat known_stacks) / 500))
	echo "$missed missed, $(stat known_stacks) stacks known"
	[ $missed -le $few ]
}

# drain_lru: have all pages on the lists of the LRU, and none in a batch of a processor's for
# them: that has a reference, and gives it back when it is full
drain_lru() {
	echo 1 >/proc/sys/vm/drop_caches
}

# cma_alloc_all: allocate the whole CMA area, which everything in it has to leave;
# if that succeeds give it back
cma_alloc_all() {
	local count

	count=$(cat "$CMA/count")
	echo "$count" >"$CMA/alloc" && echo "$count" >"$CMA/free"
}

# pages_in_all: the first pfn behind all memory
pages_in_all() {
	awk '$1 == "spanned" { n = $2 } $1 == "start_pfn:" && $2 + n > end { end = $2 + n }
		END { print end }' /proc/zoneinfo
}

# mount_files loop|nbd [SECONDS]: mount an empty ext4 file system of 64 MiB for "hold --memory
# file". That on nbd has a server of ours, for "--by writeback", which lets go after SECONDS (60)
mount_files() {
	# Extended only now: in the image of the root there is no hole.
	cp /files.img /tmp/files.img && truncate -s 64M /tmp/files.img
	case $1 in
	loop)
		DISK=$(losetup -f)
		losetup "$DISK" /tmp/files.img
		;;
	nbd)
		ppo-nbd --limit $((${2:-60} * PATIENCE)) /tmp/files.img >/tmp/disk 2>&1 &
		SERVER=$!
		wait_for 20 test -s /tmp/disk
		DISK=$(cat /tmp/disk)
		;;
	esac
	mkdir -p /files
	mount -t ext4 "$DISK" /files || give_up "cannot mount $DISK"
}

# umount_files: the end of what mount_files did
umount_files() {
	umount /files
	case $DISK in
	/dev/loop*) losetup -d "$DISK" ;;
	*)
		kill "$SERVER"
		wait "$SERVER" 2>/dev/null
		;;
	esac
	rm -f /tmp/files.img /tmp/disk
}

# hold ARGUMENT...: start ppo-pin; once it holds its pages PFNS names them, and THREADS its
# threads, as alternatives
hold() {
	rm -f /tmp/holder.in /tmp/holder.out
	mkfifo /tmp/holder.in
	ppo-pin "$@" </tmp/holder.in >/tmp/holder.out 2>&1 &
	HOLDER=$!
	# Opening waits for the other end: both ends are connected from here on.
	exec 9>/tmp/holder.in
	# The whole line, which may be a long one
	wait_for 20 more_than 0
	grep -q '^pinned' /tmp/holder.out || give_up "$(cat /tmp/holder.out)"
	# Line by line: sed takes its time over one of a million words.
	PFNS=$(tr ' ' '\n' </tmp/holder.out | sed -n 's/^pfn=//p')
	# shellcheck disable=SC2086,SC2116 # with one space between them
	PFNS=$(echo $PFNS)
	THREADS=$(cd "/proc/$HOLDER/task" && echo * | tr ' ' '|')
}

# release: have ppo-pin give back its references and keep its mapping
release() {
	echo release >&9
	wait_for 20 grep -q '^released' /tmp/holder.out
}

# ask ACT...: have ppo-pin do something with its memory, as in "ask madvise
# soft_offline"; fails if that failed. What it says is in ANSWER
ask() {
	local lines

	lines=$(wc -l </tmp/holder.out)
	echo "$*" >&9
	wait_for 20 more_than "$lines" || return 1
	ANSWER=$(tail -n 1 /tmp/holder.out)
	echo "$ANSWER"
	[ "$ANSWER" = ok ]
}

# more_than LINES: ppo-pin has said more than that
more_than() {
	[ "$(wc -l </tmp/holder.out)" -gt "$1" ]
} 2>/dev/null

# unhold: end ppo-pin
unhold() {
	exec 9>&-
	wait "$HOLDER"
}

# is_marked PFN: the module has this folio in its table
is_marked() {
	grep -q "^pfn=$1 " "$D/marked"
}

# event NAME PFN: the lines of the trace for this event and page
event() {
	grep " $1: pfn=$2 " "$T/trace"
}

# by TASK: how the line of an event begins that a task of this name raised, a pattern. The
# trace does not keep all names; the threads that HOLDER began with are known by their numbers,
# and so are the kernel's workers.
by() {
	local known=none

	case $1 in
	ppo-*) known=$THREADS ;;
	kworker/*) known=$(numbers "$1") ;;
	esac
	echo "^ *(($1)[^ ]*-[0-9]+|<[.][.][.]>-($known)) "
}

# numbers TASK: those of all tasks that are there with such a name, as one pattern
numbers() {
	(cd /proc && grep -lE "^($1)" [0-9]*/comm 2>/dev/null) | sed 's|/comm||' | tr '\n' '|' |
		sed 's/|$//'
}

# nothing_reported PFN: no page at all; where the allocation did not succeed at once, not this one
nothing_reported() {
	if $AT_ONCE; then
		fails grep report_page_pinners: "$T/trace"
	else
		fails event report_page_pinners "$1"
	fi
}

# put_by TASK PFN: a task of this name gave back a reference, says the trace
put_by() {
	event page_pin_owner_put "$2" >/tmp/puts
	tail -n 20 /tmp/puts
	grep -qE "$(by "$1")" /tmp/puts
}

# put_by_pid PID PFN: that process did; by its number, as the trace does not keep all names
put_by_pid() {
	event page_pin_owner_put "$2" >/tmp/puts
	tail -n 20 /tmp/puts
	grep -q "^ *[^ ]*-$1 " /tmp/puts
}

# field NAME: its value in a line of an event
field() {
	sed -n "s/.* $1=\([^ ]*\).*/\1/p"
}

# excess: how many references more than expected the first report in /tmp/reports has
excess() {
	echo $(($(field count </tmp/reports | head -n 1) - $(field expected </tmp/reports | head -n 1)))
}

# paired: the trace, each stack below its event. In the kernel's, what other processors and
# interrupts did between the two is there, too: they belong together by task, processor and flags.
paired() {
	awk '
		/^#/ || /^CPU:/ || /^ => / { print; next }
		{
			for (i = 2; i < NF && $i !~ /^\[[0-9]+\]$/; i++)
				;
			context = $(i - 1) " " $i " " $(i + 1)
			if (context in event)
				print event[context]
			delete event[context]
			if (/<stack trace>$/)
				print
			else
				event[context] = $0
		}
		END { for (context in event) print event[context] }' "$T/trace"
}

# stack_has PATTERN FUNCTION: the first event that matches has FUNCTION, or what the
# compiler made of it, in the stack that the kernel printed below it
stack_has() {
	paired | awk -v pattern="$1" -v function_="$2" '
		/^ => / {
			if (found && $2 ~ "^(" function_ ")([.][a-z0-9.]+)?$") { ok = 1; exit }
			next
		}
		/<stack trace>/ { next }
		found { exit }
		$0 ~ pattern { found = 1 }
		END { exit !ok }'
}

# handle_has HANDLE FUNCTION: the stack with this handle starts with FUNCTION, or
# has it within the first frames
handle_has() {
	awk -v want="stack=$1" -v function_="$2" '
		/^stack=/ { found = $1 == want; frame = 0 }
		found && /^ / && ++frame <= 4 && $1 ~ "^(" function_ ")([.][a-z0-9.]+)?[+]" { ok = 1 }
		END { exit !ok }' "$D/stacks"
}

# soft_offline PFN: have the kernel take it out of use, by moving what is in it
soft_offline() {
	echo $(($1 * 4096)) >/sys/devices/system/memory/soft_offline_page
}

# kpageflags PFN COUNT: the flags of these pages as the kernel exports them, a line each
kpageflags() {
	dd if=/proc/kpageflags bs=8 skip=$(($1)) count="$2" 2>/dev/null | od -A n -v -t x8 -w8
}

# let_go TASK PFN REFS FUNCTION CALLER: TASK has given back REFS references in FUNCTION,
# called by CALLER, says the stack that the kernel printed below the event
let_go() {
	paired | awk -v event="$(by "$1").*page_pin_owner_put: pfn=$2 .* refs=$3 " \
		-v function_="^($4)(\\\\.[a-z0-9.]+)?\$" -v caller="^($5)(\\\\.[a-z0-9.]+)?\$" '
		/<stack trace>/ { next }
		!/^ => / { ours = $0 ~ event; found = 0; next }
		!ours { next }
		found && $2 ~ caller { ok = 1; exit }
		$2 ~ function_ { found = 1 }
		END { exit !ok }'
}

# address PFN: where HOLDER has this page mapped; nothing if it has not
address() {
	local line

	grep -E ' 0 *$|/memfd:|/files/' "/proc/$HOLDER/maps" | while read -r range _; do
		start=$((0x${range%-*}))
		line=$(dd if="/proc/$HOLDER/pagemap" bs=8 skip=$((start / 4096)) \
			count=$(((0x${range#*-} - start) / 4096)) 2>/dev/null |
			od -A n -v -t x8 -w8 | grep -n -m 1 "$(printf '%013x$' "$1")") || continue
		echo $((start + (${line%%:*} - 1) * 4096))
		break
	done
}

# look PFN: have somebody else take a reference to a page of HOLDER's, and give it
# back at once; fails if the page is not mapped. Who that was is in LOOKER
look() {
	local where

	where=$(address "$1")
	[ -n "$where" ] || return 1
	dd if="/proc/$HOLDER/mem" of=/dev/null bs=1 count=1 skip="$where" 2>/dev/null &
	LOOKER=$!
	wait $LOOKER
}

# told: what the module has told the log since dmesg -c, without the time
told() {
	dmesg | sed -n 's/^\[[^]]*\] \(page_pin_owner: .*\)/\1/p'
}

# refuses FILE TEXT ERROR: what echo -e makes of TEXT is not taken by FILE, which gets
# it in one write, for this reason
refuses() {
	local message

	# shellcheck disable=SC3036 # busybox has -e
	if echo -ne "$2" 2>/tmp/refuses.log >"$1"; then
		echo "'$2' is accepted"
		return 1
	fi
	read -r message </tmp/refuses.log
	case $message in
	*": $3") ;;
	*)
		echo "'$2': $message"
		return 1
		;;
	esac
}

# refuses_and_tells FILE TEXT ERROR LINE: and there is one line in the log, which is
# like LINE
refuses_and_tells() {
	dmesg -c >/dev/null
	refuses "$1" "$2" "$3" || return 1
	told >/tmp/told
	cat /tmp/told
	[ "$(wc -l </tmp/told)" -eq 1 ] && grep -q "^page_pin_owner: $4" /tmp/told
}
