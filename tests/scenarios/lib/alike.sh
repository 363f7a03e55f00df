# shellcheck shell=dash disable=SC2034,SC2153,SC2154 source-path=SCRIPTDIR/..
# SPDX-License-Identifier: GPL-2.0
#
# Programs that judge the kernel, run without the module and then with it: they have to
# say the same of both. What is compared is the exit status and each single result.
#
# A program that is unlike itself from run to run shows that without the module as well, or
# does not show it again. That is told, but held against the module is only what is seen in
# most of the runs with it and in none without.
#
# A program that is killed without the module, as by timeout, is cut off at another place each
# time: it runs once with the module too, for the kernel's log, and is not compared.
#
# A scenario says which in PROGRAMS, a line each, and how in run_program.

A=/tmp/alike
# Runs of a program on each side before a difference counts, and before it is a failure
TRIES=3
MORE_TRIES=9

# verdicts: of a log on standard input, a line "VERDICT NAME" for each result in it
verdicts() {
	# Without colours
	sed "s/$(printf '\033')\[[0-9;]*m//g" | awk '
		function result(verdict, name) {
			# What is another figure in each run
			gsub(/0x[0-9a-f]+|[0-9]+MB of memory/, "N", name)
			gsub(/[0-9.]+ ?([mun]?s|seconds|pages\/s|[KM]i?B\/s)([^a-z]|$)/, "N ", name)
			print verdict, name
		}
		# TAP, with what cow and gup_longterm say before
		/^# \[RUN\] / { run = substr($0, 9) ": " }
		/^ *(not )?ok [0-9]/ {
			verdict = /# SKIP/ ? "skipped" : /# XFAIL/ ? "expected" : /^ *not / ? "failed" : "ok"
			sub(/^ *(not )?ok [0-9]+ *(- )?/, "")
			result(verdict, run $0)
			next
		}
		# uffd-unit-tests
		/^Testing .*\.\.\. / {
			verdict = / done$/ ? "ok" : / skipped/ ? "skipped" : "failed"
			sub(/^Testing /, "")
			sub(/\.\.\. .*/, "")
			result(verdict, $0)
		}
		# khugepaged
		/^Run test: / { test = $3 " " $4 }
		/\.\.\..* (OK|Fail|Skip)$/ {
			verdict = $NF == "OK" ? "ok" : $NF == "Skip" ? "skipped" : "failed"
			sub(/\.\.\..*/, "")
			result(verdict, test ": " $0)
		}' | sort | uniq -c | sed 's/^ *//'
}

# run_once WHERE N NUMBER: run program NUMBER for the Nth time, without or with the module
run_once() {
	local log=$A/$1.$2.$3 program seconds status=0 work='' marked=0 puts=0

	program=$(sed -n "$3p" $A/programs)
	[ "$1" = without ] || { marked=$(stat marked) puts=$(stat puts); }
	seconds=$(date +%s)
	run_program "$program" >$A/log 2>&1 || status=$?
	seconds=$(($(date +%s) - seconds))
	{
		echo "exit status $status"
		verdicts <$A/log
	} >"$log"
	[ "$1" = without ] ||
		work="; marked $(($(stat marked) - marked)), puts $(($(stat puts) - puts))"
	echo "# $1 the module: $program: $(sums "$log"); $seconds s$work"
	[ $status -eq 0 ] || tail -n 5 $A/log | tr -d '\r' | diag
}

# fail_on FILE: as long as FILE is there, pages that are held fail to move, and are put; all
# others are moved about, but while there is $A/still
fail_on() {
	while [ -e "$1" ]; do
		: >$A/pinned
		# Read from and written to, it has no end.
		ppo-pin --memory shmem --by vmsplice --pages 16 --node 0 --quiet <>$A/endless >$A/pinned &
		wait_for 5 test -s $A/pinned
		ppo-move $! 0 1 >/dev/null
		[ -e $A/still ] || echo 1 >/proc/sys/vm/compact_memory
		kill $!
		wait $!
		usleep 300000
	done 2>/dev/null
}

# module_in: with the module, as busy as it can be
module_in() {
	load || give_up "the module does not load"
	arm
}

MARKED=0 PUTS=0

# module_out: without it
module_out() {
	grep -E '^(broken|marked|puts|lost_.*)=' "$D/stats" | grep -v '=0$' | xargs | diag
	grep -qx broken=none "$D/stats" || give_up "the module is broken"
	MARKED=$((MARKED + $(stat marked))) PUTS=$((PUTS + $(stat puts)))
	disarm
	rmmod page_pin_owner || give_up "the module cannot be unloaded"
}

# differ NUMBER: do the first two runs?
differ() {
	! cmp -s "$A/without.1.$1" "$A/with.1.$1"
}

# sums FILE: how many results of each kind
sums() {
	awk '
		/^exit/ { status = $3; next }
		{ n[$2] += $1; results += $1 }
		END {
			if (results)
				printf "%d ok, %d failed, %d skipped", n["ok"], n["failed"], n["skipped"]
			if (n["expected"])
				printf ", %d failed as expected", n["expected"]
			if (status || !results)
				printf "%sexit status %d", results ? ", " : "", status
		}' "$1"
}

# judge NUMBER: did the module make a difference? $A/notes says why it is none
judge() {
	local runs=0 ours='' times line

	: >$A/notes
	differ "$1" || return 0
	while [ -e "$A/with.$((runs + 1)).$1" ]; do
		runs=$((runs + 1))
	done
	sort -u $A/without.?."$1" >$A/known
	for run in "$A"/with.?."$1"; do
		sort -u "$run" | grep -vxF -f $A/known
	done | sort | uniq -c >$A/new
	while read -r times line; do
		if [ $((times * 2)) -gt $runs ]; then
			ours=1
			echo "in $times of $runs runs with the module, and in none without: $line"
		else
			echo "in $times of $runs runs with the module: $line" >>$A/notes
		fi
	done <$A/new
	for run in "$A"/without.?."$1"; do
		sort -u "$run"
	done | sort | uniq -c | while read -r times line; do
		[ "$times" -eq $runs ] ||
			echo "in $times of $runs runs without the module: $line"
	done >>$A/notes
	[ -z "$ours" ]
}

# run_all WHERE N NUMBER...: run these programs for the Nth time
run_all() {
	local where=$1 n=$2 number
	shift 2

	[ "$where" = without ] || module_in
	for number in "$@"; do
		run_once "$where" "$n" "$number"
	done
	[ "$where" = without ] || module_out
}

# killed NUMBER: was its first run without the module?
killed() {
	grep -qx 'exit status 137' "$A/without.1.$1"
}

# unlike N NUMBER...: those of these programs that need more runs after the Nth
unlike() {
	local n=$1 number
	shift

	for number in "$@"; do
		if killed "$number"; then
			continue
		elif [ "$n" -lt $TRIES ]; then
			differ "$number"
		else
			! judge "$number" >/dev/null
		fi && echo "$number"
	done
}

# reasons: the lines "COUNT VERDICT NAME: # REASON" of many names as one
reasons() {
	sed 's/^\([0-9]* [a-z]* \).*: # /\1# /' |
		awk '{ n = $1; $1 = ""; count[$0] += n } END { for (line in count) print count[line] line }' |
		sort
}

# result NUMBER: print it
result() {
	local name without=$A/without.1.$1

	name=$(sed -n "$1p" $A/programs)
	if killed "$1"; then
		skip "$name" "it is killed without the module as well: $(sums "$without")"
		return
	fi
	# So a selftest says that it has to be skipped.
	if ! differ "$1" && grep -qx 'exit status 4' "$without"; then
		skip "$name" "it is not built, or skips all"
		return
	fi
	check "$name: $(sums "$without")" judge "$1"
	grep -E '^[0-9]+ (failed|skipped|expected) ' "$without" | reasons | diag
	diag <$A/notes
}

# alike: run them all on both sides; a result for each, and one for the module
alike() {
	local n number again failing

	mkdir -p $A
	echo "$PROGRAMS" | grep . >$A/programs
	again=$(seq "$(wc -l <$A/programs)")
	mkfifo $A/endless
	touch $A/failing
	fail_on $A/failing &
	failing=$!
	# Or it waits for the stressors.
	renice -n -10 -p $failing
	for n in $(seq $MORE_TRIES); do
		[ -n "$again" ] || break
		# shellcheck disable=SC2086 # numbers
		run_all without "$n" $again
		# shellcheck disable=SC2086
		run_all with "$n" $again
		# shellcheck disable=SC2086
		again=$(unlike "$n" $again)
	done
	rm $A/failing
	wait $failing
	for number in $(seq "$(wc -l <$A/programs)"); do
		result "$number"
	done
	check "the module was at work" test "$MARKED" -gt 100 -a "$PUTS" -gt 100
}
