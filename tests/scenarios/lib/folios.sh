# shellcheck shell=dash disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# Folios of all kinds.

THP=/sys/kernel/mm/transparent_hugepage

# prepare KIND: have the kernel make such folios
prepare() {
	case $1 in
	mthp) echo madvise >$THP/hugepages-64kB/enabled ;;
	shmem-thp) echo advise >$THP/shmem_enabled ;;
	ksm) echo 1 >/sys/kernel/mm/ksm/run ;;
	hugetlb*) echo 64 >/proc/sys/vm/nr_hugepages ;;
	swap-cache)
		[ -e /tmp/swap ] && return
		dd if=/dev/zero of=/tmp/swap bs=1M count=16 2>/dev/null
		losetup /dev/loop0 /tmp/swap
		mkswap /dev/loop0 >/dev/null
		swapon /dev/loop0
		;;
	esac
}

# head_of PFN ORDER: the first page of the folio
head_of() {
	printf '0x%x' $(($1 & ~((1 << $2) - 1)))
}
