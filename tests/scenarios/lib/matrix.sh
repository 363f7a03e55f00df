# shellcheck shell=dash disable=SC2034,SC2153,SC2154 source-path=SCRIPTDIR/..
# SPDX-License-Identifier: GPL-2.0
#
# For each way in which the kernel has to move a page, and each way to hold it: was the
# page reported, and does the trace name the holder?

. ./lib/paths.sh

# COLUMN MEMORY PIN TASK FUNCTION: who lets go of what is held so, and what is in the
# stack of that put. Compilers inline, so there are alternatives.
PINS="
none          shmem none          -          -
none-anon     anon  none          -          -
vmsplice      shmem vmsplice      ppo-pin    page_cache_pipe_buf_release
vmsplice-anon anon  vmsplice      ppo-pin    page_cache_pipe_buf_release
gup           shmem gup           ppo-gup    unpin_user_pages(_dirty_lock)?
gup-anon      anon  gup           ppo-gup    unpin_user_pages(_dirty_lock)?
longterm      shmem longterm      ppo-pin    unpin_user_pages(_dirty_lock)?
longterm-fast shmem longterm-fast ppo-pin    unpin_user_pages(_dirty_lock)?
io-uring      shmem io-uring      ppo-pin    io_buffer_unmap|__io_sqe_buffers_unregister
io-uring-anon anon  io-uring      ppo-pin    io_buffer_unmap|__io_sqe_buffers_unregister
splice        shmem splice        ppo-pin    page_cache_pipe_buf_release
tee           shmem tee           ppo-pin    page_cache_pipe_buf_release
zerocopy      shmem zerocopy      ppo-pin    skb_release_data|__kfree_skb
exit          shmem exit          ppo-dying  page_cache_pipe_buf_release
lru-batch     shmem lru-batch     kworker/.* folio_batch_move_lru|lru_add_drain_cpu
direct-write  shmem direct-write  ppo-direct __bio_release_pages
direct-read   anon  direct-read   ppo-direct __bio_release_pages
read          shmem read          ppo-read   shmem_file_read_iter
writeback     file  writeback     .*         folio_end_writeback
perf-ring     anon  perf-ring     .*         rb_free.*|ring_buffer_put|perf_mmap_close
packet-ring   anon  packet-ring   ppo-pin    free_pg_vec|packet_set_ring|packet_release
"

# applies PATH COLUMN: it makes sense to try
applies() {
	case "$1 $2" in
	# Memory that is the kernel's own, which nothing tries to move
	"hwpoison "*-ring) ;;
	*-ring) return 1 ;;
	# gup_test has one of them at a time.
	"longterm longterm" | "longterm longterm-fast") return 1 ;;
	# change_pte_range() leaves pinned private pages alone; NUMA balancing waits
	# in vain.
	"numa_balancing gup-anon" | "numa_balancing io-uring-anon" | "numa_balancing direct-read")
		return 1
		;;
	# Who waits for the end of writeback cannot end it.
	"longterm writeback" | "madvise writeback" | "mbind writeback" | "numa_balancing writeback")
		return 1
		;;
	# memory_failure() waits as well, and may then see a reference of who ends it, which
	# is gone before it tells.
	"hwpoison writeback") return 1 ;;
	"numa_balancing "*)
		[ "$memory" != shmem ] || "$numa_shmem" || return 1
		;;
	esac
}

# all_known: there is no pin but those in the table
all_known() {
	ppo-pin --help | awk '/^ *--/ { by = /--by/ } by && /^ *- / { print $2 }' | tr -d : >/tmp/pins
	[ -s /tmp/pins ] && while read -r pin; do
		echo "$PINS" | tr -s ' ' '\n' | grep -x -e "$pin" || {
			echo "$pin?"
			return 1
		}
	done </tmp/pins
}

# tell PFN REASON TASK FUNCTION: what the trace tells of a page: how often it was reported,
# how many puts were the holder's; then what else there was to read, reports of others and
# puts of others
tell() {
	paired | awk -v pfn="pfn=$1" -v reason="reason=$2" -v task="$(by "$3")" \
		-v function_="^($4)(\\\\.[a-z0-9.]+)?\$" '
		function end_of_put() {
			if (put == 2) named++
			else if (put) noise++
			put = 0
		}
		/^ => / { if (put == 1 && ours && $2 ~ function_) put = 2; next }
		/ report_page_pinners: / {
			end_of_put()
			if (index($0, ": " pfn " ") && index($0, " " reason " ")) reports++
			else others++
		}
		/ page_pin_owner_put: / {
			end_of_put()
			put = index($0, ": " pfn " ") > 0
			ours = $0 ~ task
		}
		END { end_of_put(); print reports + 0, named + 0, others + 0, noise + 0 }'
}

# was_named: the trace tells who has held it
was_named() {
	tell "$pfn" "$(reason_for "$path")" "$task" "$function" >/tmp/told
	read -r reports named other_reports other_puts </tmp/told
	[ "$reports" -gt 0 ] && [ "$named" -gt 0 ]
}

# ended PROCESS: it has
ended() {
	[ ! -d "/proc/$1" ]
}

# attempt: have the kernel try to move the page, then let it go; fails if it could not be
# moved. Who waits for the end of writeback has not failed, and goes on then.
attempt() {
	local moved=0 attempt

	if [ "$by" != writeback ]; then
		"path_$path" || moved=1
		release
		return $moved
	fi
	"path_$path" &
	attempt=$!
	wait_for 3 ended $attempt
	release
	wait $attempt
}

# cell: one of them. Where the kernel has failed, and reports another page, that page was in its
# way for a moment; as was who let go of this one by himself, where the kernel has moved it in the
# end. That says nothing of the holder: it is tried again, twice at most.
cell() {
	local tries=3 moved

	try_cell
	while [ "$result" = missed ] && { [ "$moved" -eq 1 ] ||
		{ [ "$reports" -eq 0 ] && [ "$other_reports" -gt 0 ]; }; } &&
		[ $((tries -= 1)) -gt 0 ]; do
		try_cell
	done
	echo "# matrix $path $column $result $other_reports $other_puts"
	[ "$result" != missed ]
}

# try_cell: by the variables path, column, memory, by, task and function; what
# came of it is in result: named; none, if the kernel could move the page and nothing is
# told; or missed. In moved is whether it could.
try_cell() {
	moved=1
	hold_for "$path" --memory "$memory" --by "$by"
	pfn=${PFNS%% *}
	arm
	attempt >/tmp/path.log 2>&1 || moved=0
	if was_named || { [ $moved -eq 0 ] && wait_for 1 was_named; }; then
		result=named
	elif [ "$moved" -eq 1 ] && [ "$reports" -eq 0 ]; then
		result=none
	else
		result=missed
	fi
	unhold_from "$path"
	disarm
}

# matrix PATH...: all of them, two results for each path
matrix() {
	local failed missed

	# Whoever unmaps memory empties the LRU batch of his processor.
	taskset -p 1 $$ >/dev/null
	ip link set lo up
	mount_files nbd
	check "every pin that ppo-pin knows is tried" all_known
	echo "$PINS" | grep -v '^$' >/tmp/columns
	for path in "$@"; do
		if [ "$path" = numa_balancing ]; then
			numa_shmem=true
			numa_balances shmem >/dev/null 2>&1 || numa_shmem=false
		fi
		failed=0 missed=''
		while read -r column memory by task function <&8; do
			if ! applies "$path" "$column"; then
				echo "# matrix $path $column n/a 0 0"
			elif ! cell; then
				missed="$missed $column"
				diag </tmp/path.log
				grep -v '^#' "$T/trace" | head -n 40 | diag
			fi
			[ "$result" != named ] || failed=$((failed + 1))
		done 8</tmp/columns
		check "$path: each holder of a page that could not be moved is named" test "$missed" = ''
		check "$path: that is so for some" test $failed -gt 0
	done
	umount_files
}
