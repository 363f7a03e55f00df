#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own tests of its memory management and of hotplug (tools/testing/selftests:
# mm, memfd, cpu-hotplug, memory-hotplug) say the same without and with the module, while
# pages fail to move all the time. With an argument, for how many seconds more it may run,
# also those that take minutes (3000 is enough).
# vm: --selftests --parallel --smp 3 --nodes 2 --mem 2048 --append "cma=0 movablecore=768M"
# vm: --timeout 1200
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/alike.sh

# How many huge pages there are to be had, folder and program.
#
# Not here, as without the module it
# - has no kernel option here, and skips all: soft-dirty, pagemap_ioctl, protection_keys,
#   pkey_sighandler_tests, hmm-tests, test_vmalloc.sh, charge_reserved_hugetlb.sh,
#   hugetlb_reparenting_test.sh, va_high_addr_switch, memfd/fuse_test
# - fails every other time: ksm_tests -N -m 1
# - fails at the first seal, as hugetlbfs knows no F_SEAL_EXEC: memfd_test hugetlbfs
# - ends as soon as it cannot be another user: on-fault-limit
# - takes all address space there is, for minutes: virtual_address_range
# - leaves memory behind that is poisoned for good: hugetlb-read-hwpoison
PROGRAMS="
128 mm/hugepage-mmap
128 mm/hugepage-shm
128 mm/map_hugetlb 64
128 mm/hugepage-mremap
128 mm/hugepage-vmemmap
128 mm/hugetlb-madvise
128 mm/hugetlb_dio
128 mm/gup_longterm
128 mm/cow
128 mm/migration
1   mm/hugetlb_madv_vs_map
8   mm/hugetlb-soft-offline
8   mm/thuge-gen
0   mm/map_fixed_noreplace
0   mm/gup_test -u -m 16
0   mm/gup_test -a -m 16
0   mm/gup_test -L -m 16
0   mm/gup_test -ct -F 0x1 0 19 0x1000
0   mm/compaction_test
0   mm/map_populate
0   mm/mlock-random-test
0   mm/mlock2-tests
0   mm/mrelease_test
0   mm/mremap_test
0   mm/mremap_dontunmap
0   mm/mseal_test
0   mm/madv_populate
0   mm/memfd_secret
0   mm/droppable
0   mm/mkdirty
0   mm/mdwe_test
0   mm/ksm_tests -P -s 2
0   mm/ksm_tests -M -p 10
0   mm/ksm_tests -U
0   mm/ksm_tests -Z -p 10 -z 0
0   mm/ksm_tests -Z -p 10 -z 1
0   mm/ksm_tests -N -m 0
0   mm/ksm_functional_tests
0   mm/khugepaged madvise:shmem
0   mm/transhuge-stress -d 1 64
0   mm/split_huge_page_test /none
32  mm/uffd-unit-tests -f zeropage
0   mm/uffd-stress anon 4 4
32  mm/uffd-stress hugetlb 32 2
0   mm/uffd-stress shmem 4 4
0   memfd/memfd_test
0   cpu-hotplug/cpu-on-off-test.sh -a
0   memory-hotplug/mem-on-off-test.sh -r 10
"

# As the kernel's run_vmtests.sh has them. cow with something to swap to, which then does not
# always work. Of split_huge_page_test, those of files, which
# write 36 MiB byte by byte before they skip without XFS.
LONG="
128 mm/cow
1   mm/hugetlb_fault_after_madv
32  mm/migration
0   mm/ksm_tests -H -s 100
0   mm/ksm_tests -P -s 100
0   mm/khugepaged
0   mm/khugepaged -s 2
0   mm/transhuge-stress -d 20
0   mm/split_huge_page_test
32  mm/uffd-unit-tests
0   mm/uffd-stress anon 20 16
32  mm/uffd-stress hugetlb 32 32
32  mm/uffd-stress hugetlb-private 32 32
0   mm/uffd-stress shmem 20 16
0   mm/uffd-stress shmem-private 20 16
"

# run_program LINE: one of them
run_program() {
	local program

	# shellcheck disable=SC2086 # words
	set -- $1
	# It wants each of 512 pages merged by the second look of KSM, which passes over those that
	# compaction has just then.
	rm -f $A/still
	[ "$2" != mm/ksm_functional_tests ] || touch $A/still
	echo "$1" >/proc/sys/vm/nr_hugepages
	program=${2#*/}
	cd "/selftests/${2%/*}" || return
	shift 2
	[ -x "./$program" ] || return 4
	timeout -s KILL $((${LIMIT:-60} * PATIENCE)) "./$program" "$@"
}

# setup_swap: for what tests to swap to, in memory that is not swapped out
setup_swap() {
	mkdir /swap
	mount -t ramfs ramfs /swap
	dd if=/dev/zero of=/swap/file bs=1M count=32 2>/dev/null
	losetup /dev/loop0 /swap/file
	mkswap /dev/loop0 >/dev/null
	swapon /dev/loop0
}

if [ $# -gt 0 ]; then
	PROGRAMS=$LONG LIMIT=500
	setup_swap
else
	# For so many seconds runs each of migration's tests.
	export RUNTIME=1
fi
plan $(($(echo "$PROGRAMS" | grep -c .) + 1))
# Or KSM passes over a page for some rounds that somebody held when it came by, and the tests
# wait for two.
echo 0 >/sys/kernel/mm/ksm/smart_scan
alike
finish
