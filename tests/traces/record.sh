#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# record.sh SECONDS PINS SEED: records every change of the references of all memory while
# pages are pinned in all ways, up to PINS at once, and the machine does other things. What
# became of the pinned pages, and of some others, goes to the third serial port.
# shellcheck shell=dash source-path=SCRIPTDIR/../scenarios

. ./lib.sh

plan 4
ifconfig lo up
mount_files loop
insmod /ppo_refs.ko pages="$(pages_in_all)" room=6000000 || give_up "the recorder does not load"
stress-ng --seed "$3" --oomable --temp-path /files --timeout "$1" --fork 1 --vm 1 --vm-bytes 8M \
	--mmap 1 --mmap-bytes 4M --hdd 1 --hdd-bytes 8M --splice 1 --tee 1 --vm-splice 1 \
	--sendfile 1 --sendfile-size 64K --memfd 1 --memfd-bytes 4M --sock 1 \
	>/tmp/load 2>&1 &
load=$!
while sleep 1; do
	echo 1 >/proc/sys/vm/compact_memory
	echo 1 >/proc/sys/vm/drop_caches
done &
scans=$!
check "pages are pinned" sh -c "ppo-history --seconds $1 --pins $2 --seed $3 >/tmp/truth"
check "and other things done" wait $load
kill $scans
diag </tmp/load
echo "# $(grep -c ^pin /tmp/truth) pins, $(cat /sys/kernel/debug/ppo_refs/used) changes"
check "it is packed" sh -c "ppo-changes /tmp/truth >/tmp/trace"
grep '^lost' /tmp/trace | diag
gzip -9 /tmp/trace
wc -c /tmp/trace.gz | diag
stty -F /dev/ttyS2 raw -echo
check "and sent" dd if=/tmp/trace.gz of=/dev/ttyS2 bs=64k
umount_files
finish
