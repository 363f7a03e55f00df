#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A report in the kernel's log fails a run in which all else is well.
# fails: kernel log: .*WARNING: as if from the kernel
echo 1..1
echo 'WARNING: as if from the kernel' >/dev/kmsg
echo ok 1 - all is well
