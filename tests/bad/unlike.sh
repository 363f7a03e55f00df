#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A program that says something else with the module is noticed, one that just is unlike
# itself is not. Of four results the second has to fail, alone.
# fails: 1 failed
# shellcheck shell=dash source-path=SCRIPTDIR/../scenarios

. ./lib.sh
. ./lib/alike.sh

PROGRAMS="
steady
changed
fickle
"

# run_program NAME: what it says, with that instead of the module
run_program() {
	case $1 in
	steady) echo "ok 1 something" ;;
	changed) [ -e /tmp/module ] && echo "not ok 1 something" || echo "ok 1 something" ;;
	fickle)
		echo >>/tmp/runs
		echo "ok 1 run $(wc -l </tmp/runs)"
		;;
	esac
}

module_in() {
	touch /tmp/module
}

module_out() {
	rm /tmp/module
	MARKED=1000 PUTS=1000
}

# stat NAME: a figure of no module's
stat() {
	echo 0
}

plan 4
alike
finish
