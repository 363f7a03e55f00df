#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A report before code is run that is not in memory any more is not forgotten for that.
# fails: ^vm: [^(]*: kernel log: .*WARNING: so far
# never: once again
echo 1..1
cat >/dev/kmsg <<END
WARNING: so far
Oops: int3: 0000 [#1] SMP
Code: 48 89 fe 48 89 c7 e8 <9a> ab d5 3e c3 66 0f
END
echo ok 1 - so far
