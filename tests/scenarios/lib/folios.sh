# shellcheck shell=dash disable=SC2034,SC2154
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

# hold_folio: hold COUNT of PAGES pages of KIND from FIRST on BY some way, in variables of
# these names; $pfn is the first that is held, and $head its folio's, of order $order
hold_folio() {
	prepare "$kind"
	hold --memory "$kind" --by "$by" --pages "$pages" --first "$first" --count "$count"
	# ksmd holds a page for as long as it looks at it.
	echo 0 >/sys/kernel/mm/ksm/run
	pfn=${PFNS%% *}
	head=$(head_of "$pfn" "$order")
}
