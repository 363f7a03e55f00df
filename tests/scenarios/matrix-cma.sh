#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Who holds a page that cannot leave the CMA area, or that is to be taken out of use? Each
# way to fail, each way to hold. See lib/matrix.sh.
# vm: --timeout 400
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/matrix.sh

plan 12
load || give_up "the module does not load"
# The last ones leave holes in the CMA area.
matrix cma longterm soft_offline madvise hwpoison
check "no mark, stack or put was lost" no_losses
finish
