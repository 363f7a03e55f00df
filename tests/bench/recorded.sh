#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What it costs to let go of a page that is marked: all of it, per put.
# shellcheck shell=dash source-path=SCRIPTDIR/../scenarios

. ./lib.sh

# row NAME [OPTION...]: a row of the table
row() {
	local name=$1
	shift

	check "$name" sh -c "ppo-cost get pin fork unmap --mib 16 $* >/tmp/costs"
	# shellcheck disable=SC2046 # numbers
	echo "# bench recorded: $name:" $(cat /tmp/costs)
}

# page_ref NAME: with the kernel's own event
page_ref() {
	echo 1 >"$T/events/page_ref/page_ref_mod_and_test/enable"
	row "$1"
	echo 0 >"$T/events/page_ref/enable"
}

# Folios of one page each
echo never >/sys/kernel/mm/transparent_hugepage/enabled
plan 6
echo 1000 >"$T/buffer_size_kb"
page_ref "page_ref event"
echo 1 >"$T/options/stacktrace"
page_ref "page_ref event, with its stack"
echo 0 >"$T/options/stacktrace"
load report_rate=0 || give_up "the module does not load"
echo 1 >"$EVENTS/report_page_pinners/enable"
row "in the tables, with the handle of the stack" --marked
echo 1 >"$EVENTS/page_pin_owner_put/enable"
row "and as an event" --marked
echo 1 >"$T/options/stacktrace"
row "and with options/stacktrace" --marked
check "no mark, stack or put was lost" no_losses
disarm
finish
