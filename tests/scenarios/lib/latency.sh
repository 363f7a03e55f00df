# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
#
# How late a task of the highest priority is woken. The guest has to have the tools.

# latest COMMAND...: the longest delay in microseconds while the command runs
latest() {
	cyclictest --quiet --policy=fifo --priority=99 --interval=1000 --mlockall \
		>/tmp/cyclictest 2>/dev/null &
	wait_for 5 test -d "/proc/$!/task"
	sleep 1
	"$@" >/dev/null 2>&1
	# Background shells ignore SIGINT.
	kill -TERM $!
	wait $!
	sed -n 's/.*Max: *\([0-9]*\).*/\1/p' /tmp/cyclictest
}
