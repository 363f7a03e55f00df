#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A guest may die once, and not twice, of code that is run though it is not in memory any more.
# This one says each time that it did.
# fails: int3); once again
echo 1..1
cat >/dev/kmsg <<END
Oops: int3: 0000 [#1] SMP
Code: 48 89 fe 48 89 c7 e8 <9a> ab d5 3e c3 66 0f
END
echo ok 1 - so far
