#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# ledger.sh [ENTRIES]: the holder who never lets go: what the ledger says of references to
# watched pages, for each way to hold one, while it is held, and when it is not any more.
# vm: --timeout 400
# shellcheck shell=dash source-path=SCRIPTDIR

. ./lib.sh
. ./lib/paths.sh
. ./lib/ledger.sh

# MEMORY PIN REFS FUNCTION: what is held, how, how many references that is and which
# function took them. The first ones are in the CMA area; long-term pins leave it.
CASES="
shmem vmsplice        1 $VMSPLICE
anon  vmsplice        1 $VMSPLICE
file  vmsplice        1 $VMSPLICE
shmem gup          1024 $GUP
anon  gup          1024 $GUP
shmem splice          1 splice_folio_into_pipe
file  splice          1 splice_folio_into_pipe
shmem tee             1 generic_pipe_buf_get|tee
shmem zerocopy        1 zerocopy_fill_skb_from_iter|skb_zerocopy
anon  zerocopy        1 zerocopy_fill_skb_from_iter|skb_zerocopy
shmem direct-write 1024 bio_iov_iter_get_pages
anon  direct-read  1024 bio_iov_iter_get_pages
file  direct-read  1024 bio_iov_iter_get_pages
shmem read            1 shmem_file_read_iter
file  read            1 filemap_get_read_batch|filemap_get_pages|filemap_read
"
LONGTERM="
shmem longterm      1024 pin_user_pages|gup_test_ioctl
anon  longterm      1024 pin_user_pages|gup_test_ioctl
shmem longterm-fast 1024 pin_user_pages_fast|gup_test_ioctl
shmem io-uring      1024 io_pin_pages|io_sqe_buffer
anon  io-uring      1024 io_pin_pages|io_sqe_buffer
"

# one_case FAILS MEMORY PIN REFS FUNCTION
one_case() {
	local name="$3 of $2"

	hold --memory "$2" --by "$3"
	pfn=$PFNS
	check "$name: the function that took it is named" is_named "$pfn" "$4" "$5"
	check "$name: and no other, but one that it may have been" \
		test "$(held "$pfn" | grep '^pfn=' | grep -c -v 'sure=one_of')" -eq 1
	arm
	if [ "$1" = cma ]; then
		check "$name: the allocation fails" fails cma_alloc_all
	else
		check "$name: soft offlining fails" fails path_soft_offline
	fi
	check "$name: it is named still" is_named "$pfn" "$4" "$5"
	check "$name: with the reason of the failure" grep -q -v " reason=none " /tmp/named
	check "$name: after a while it is long" wait_for 5 is_long "$pfn"
	check "$name: and among the holders" wait_for 5 is_among_holders "$pfn"
	release
	check "$name: given back, nothing is left" wait_for 5 is_nobodys "$pfn"
	unhold
	disarm
}

for list in "$CASES" "$LONGTERM"; do
	echo "$list" | grep -c .
done >/tmp/counts
plan $(($(awk '{ n += $1 } END { print n }' /tmp/counts) * 8 + 17))
load longterm_ms=300 "entries=${1:-8}" || give_up "the module does not load"
ifconfig lo up
mount_files loop
base=$(cat "$CMA/base_pfn") count=$(cat "$CMA/count")
watch "$base" "$count" || give_up "the area cannot be watched"
check "what is watched can be read" grep -q "^pfn=$(printf '0x%x' "$base") pages=$count\$" "$D/watch"
check "no event is needed for that" grep -qx attached=0 "$D/stats"

echo "$CASES" | grep . >/tmp/cases
while read -r memory pin refs function <&3; do
	one_case cma "$memory" "$pin" "$refs" "$function"
done 3</tmp/cases
umount_files

# A reference that a driver forgets, to a page that nobody else wants any more
insmod /ppo_leak.ko
hold --memory anon --by none
pfn=$PFNS
echo "$pfn" >/sys/module/ppo_leak/parameters/pfn
unhold
held "$pfn" >/tmp/named
diag </tmp/named
check_grep "leaked by a driver: it is the only one" "^pfn=$pfn .* count=1 expected=0 .* refs=1 " /tmp/named
check_grep "leaked by a driver: the function is named" "^ ppo_leak_take\\+.*\\[ppo_leak\\]" /tmp/named
rmmod ppo_leak
check "leaked by a driver: given back after all" is_nobodys "$pfn"

# Two hold a page; the one who comes first in the table lets go when it was read as far as that.
insmod /ppo_leak.ko
hold --memory shmem --by vmsplice
pfn=$PFNS
echo "$pfn" >/sys/module/ppo_leak/parameters/pfn
exec 8<"$D/ledger"
while read -r line <&8; do
	echo "$line"
	[ "${line#"pfn=$pfn "}" = "$line" ] || break
done >/tmp/named
release
cat <&8 >>/tmp/named
exec 8<&-
check "who lets go while the table is read is told" grep -q -E "^ *($VMSPLICE)\+" /tmp/named
check "and does not hide who holds on" grep -q "^ ppo_leak_take\+" /tmp/named
unhold
rmmod ppo_leak

# Older than the watch
echo clear >"$D/watch"
check "nothing is watched" test -z "$(cat "$D/watch" "$D/ledger")"
check "and no memory in use" grep -qx ledger_bytes=0 "$D/stats"
hold --memory shmem --by vmsplice
watch "$base" "$count"
check "older than the watch: seen" grep -q "^pfn=$PFNS .* refs=1 .* sure=unseen .* stack=lost" "$D/ledger"
arm
check "older than the watch: the allocation fails" fails cma_alloc_all
cp "$D/ledger" /tmp/ledger
held "$PFNS" >/tmp/named
check "older than the watch: nobody is named falsely" \
	fails grep "^pfn=$PFNS .* sure=[^u]" /tmp/named
release
check "older than the watch: given back" wait_for 5 is_nobodys "$PFNS"
unhold
disarm

# Everything: where long-term pins go is not known before.
watch 0 "$(pages_in_all)"
echo "$LONGTERM" | grep . >/tmp/cases
while read -r memory pin refs function <&3; do
	one_case soft_offline "$memory" "$pin" "$refs" "$function"
done 3</tmp/cases
# The kernel's own page. Which of its two references the mapping has is not known.
hold --memory anon --by packet-ring
check "packet-ring: the driver is named" is_named "$PFNS" 1 'alloc_pg_vec|packet_set_ring|packet_mmap'
release
check "packet-ring: given back, nothing is left" wait_for 5 is_nobodys "$PFNS"
unhold
grep -E "ledger|watched|lost_|stacks" "$D/stats" | diag
# A page that is allocated for a mark, while that is recorded
check "changes were missed only within others" few_missed
check "no stack was lost" grep -qx lost_stacks=0 "$D/stats"
finish
