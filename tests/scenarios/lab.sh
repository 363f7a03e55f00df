#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The lab itself, without the module: a page in CMA can be pinned, a pin keeps the
# area from being allocated, and nothing else does.
# Who looks at a page for a moment only, as the kernel itself does, is in the way for that long.
# debug: quick
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh

plan 25

for memory in shmem anon; do
	hold --memory "$memory" --by none
	check "$memory, no pin: CMA can be allocated" wait_for 3 cma_alloc_all
	unhold

	for by in vmsplice gup; do
		hold --memory "$memory" --by "$by" --pages 4
		check "$memory, $by: CMA cannot be allocated" fails cma_alloc_all
		check "$memory, $by: released" release
		check "$memory, $by, released: CMA can be allocated" wait_for 3 cma_alloc_all
		check "$memory, $by: the holder ends well" unhold
	done

	hold --memory "$memory" --by longterm
	check "$memory, longterm: moved out, CMA can be allocated" wait_for 3 cma_alloc_all
	check "$memory, longterm: released" release
	check "$memory, longterm: the holder ends well" unhold
done

hold --memory anon --by vmsplice
kill "$HOLDER"
exec 9>&-
wait "$HOLDER" 2>/dev/null
check "a holder that is killed lets go" wait_for 3 cma_alloc_all

finish
