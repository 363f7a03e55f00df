#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# stress-ng's stressors of memory and migration, each group of them for $1 seconds (3),
# end in success without and with the module, while pages fail to move all the time.
# vm: --selftests --parallel --nodes 2 --mem 1536 --append "cma=0 movablecore=512M"
# vm: --timeout 1200
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/alike.sh

SECONDS_=${1:-3}

# Huge pages, stressors. numa asks for each page of its memory to be moved, and where these
# are parts of huge pages has 2 GiB copied for its 4 MiB, for minutes.
#
# Not here: madvise, which poisons its own memory as root, and fails; mlockmany and other
# pathological ones; migrate, which stress-ng 0.15 does not have; swap and pageswap, as
# there is no device to swap to.
PROGRAMS="
never --numa 1
always --vm 1 --vm-bytes 1M --pagemove 1 --pagemove-bytes 256K --tlb-shootdown 1
always --mmap 1 --mmap-bytes 4M --mremap 1 --mremap-bytes 4M
always --vm-splice 1 --splice 1 --tee 1 --vm-rw 1 --vm-rw-bytes 4M --aio 1
always --mlock 1 --mincore 1 --msync 1 --msync-bytes 4M --munmap 1 --brk 1 --stack 1
always --shm 1 --shm-bytes 4M --shm-sysv 1 --shm-sysv-bytes 4M --memfd 1 --memfd-bytes 4M
always --fork 1 --vfork 1 --vm-segv 1 --rmap 1 --fault 1 --userfaultfd 1
"

# run_program LINE: the stressors of one of these lines, all at once
run_program() {
	echo "${1%% *}" >/sys/kernel/mm/transparent_hugepage/enabled
	# shellcheck disable=SC2086 # words
	timeout -s KILL $((150 * PATIENCE + SECONDS_)) stress-ng --verify --oomable \
		--no-rand-seed --temp-path /tmp --timeout "$SECONDS_" ${1#* }
}

command -v stress-ng >/dev/null || {
	plan 1
	skip "stress-ng" "it is not there"
	finish
}
plan $(($(echo "$PROGRAMS" | grep -c .) + 1))
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
alike
finish
