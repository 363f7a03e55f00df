# shellcheck shell=dash disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# How the command ends.

# Codes of src/exit.rs
FAILED=1 USAGE=2 PERMISSION=3 NO_MODULE=4 KERNEL=5 FOREIGN=6 INCOMPLETE=7

# ends_with CODE COMMAND...: it ends with this code; what it said is in /tmp/said and /tmp/err
ends_with() {
	local code=$1 status=0
	shift

	"$@" >/tmp/said 2>/tmp/err || status=$?
	cat /tmp/said /tmp/err
	echo "status $status, not $code?"
	[ "$status" -eq "$code" ]
}
