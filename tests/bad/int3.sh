#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A breakpoint that is in memory is the kernel's fault, and nothing is tried again.
# fails: ^vm: [^(]*: kernel log: .*Oops: int3
# never: once again
echo 1..1
cat >/dev/kmsg <<END
Oops: int3: 0000 [#1] SMP
Code: 48 89 fe 48 89 c7 cc <9a> ab d5 3e c3 66 0f
END
echo ok 1 - so far
