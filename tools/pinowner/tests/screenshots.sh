#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Shows what pinowner draws to headless Chromium: the page has to run under its own policy without
# a word on the console, its table has to sort, and nothing may stick out at 1280 and 400 pixels.
#
#	tests/screenshots.sh PINOWNER [DIRECTORY]
#
# With a directory, pictures of all of it are left there for a person to look at, of a small
# recording and of 5000 folios.
set -eu

pinowner=${1:?"usage: $0 PINOWNER [DIRECTORY]"}
pictures=${2-}
data=$(dirname "$0")/data

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || :)
if [ -z "$chromium" ]; then
	echo "screenshots: skipped: there is no chromium"
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

browser() {
	# Without a display, without a sandbox for who is root, and without asking anything of a network.
	timeout 60 "$chromium" --headless --no-sandbox --disable-gpu --hide-scrollbars \
		--user-data-dir="$work/profile" --no-first-run --disable-background-networking \
		--disable-component-update --disable-dev-shm-usage --proxy-server=127.0.0.1:9 \
		--enable-logging=stderr --virtual-time-budget=1000 "$@" 2>"$work/log"
}

fail() {
	echo "screenshots: FAILED: $*" >&2
	exit 1
}

# 5000 folios of five holders, some of them held still, for three reasons.
big() {
	awk 'BEGIN {
		print "# tracer: nop"
		split("page_cache_pipe_buf_release free_pipe_info pipe_release __fput __x64_sys_close|" \
			"__bio_release_pages blkdev_bio_end_io nvme_pci_complete_batch nvme_irq|" \
			"io_release_ubuf io_rsrc_node_ref_zero io_sqe_buffers_unregister __io_uring_register|" \
			"vfio_unpin_pages_remote vfio_iommu_type1_ioctl vfio_fops_unl_ioctl|" \
			"ib_umem_release mlx5_ib_dereg_mr ib_dereg_mr_user", stacks, "|")
		split("ppo-pin fio qemu-system-x86 <script>alert(1) ib_write_bw", comms, " ")
		split("contig_range memory_hotplug compaction", reasons, " ")
		srand(7)
		for (n = 0; n < 5000; n++) {
			who = 1 + int((rand() ^ 2) * 5)
			line = sprintf("mapping=00000000ddcb0d99 mt=5 reason=%s", reasons[1 + n % 3])
			at = 10 + int(rand() * 50) / 10 + who * 2
			printf " sh-9 [000] ..... %.6f: report_page_pinners: pfn=0x%x flags=uptodate|swapbacked count=3 mapcount=1 %s err=-16 stage=migrate expected=2 order=%d stack=1\n",
				at, 262144 + n * 512, line, n % 97 == 0 ? 9 : 0
			if (n % 11 == 0)
				printf " sh-9 [000] ..... %.6f: report_page_pinners: pfn=0x%x flags=uptodate|swapbacked count=3 mapcount=1 %s err=-16 stage=migrate expected=2 order=0 stack=1\n",
					at + 1.1, 262144 + n * 512, line
			if (n % 53 == 0)
				continue
			age = 0.01 + rand() * who * 3
			printf " %s-%d [001] ..... %.6f: page_pin_owner_put: pfn=0x%x flags=uptodate count=1 mapcount=1 %s stage=migrate refs=1 age_us=%d last=0 stack=%d\n",
				comms[who], 100 + who, at + age, 262144 + n * 512, line, age * 1000000, 20 + who
			if (!(who in shown)) {
				shown[who] = 1
				print " x-1 [001] ..... 1.0: <stack trace>"
				frames = split(stacks[who], frame, " ")
				for (f = 1; f <= frames; f++)
					print " => " frame[f]
			}
		}
	}'
}

cp "$data/recording.txt" "$work/small"
big >"$work/big"

for size in small big; do
	for what in html flame timeline; do
		case $what in
		html) file=$work/$size.html ;;
		*) file=$work/$size-$what.svg ;;
		esac
		status=0
		"$pinowner" $what "$work/$size" -o "$file" || status=$?
		# 7: not all is there
		case $status in
		0 | 7) ;;
		*) fail "pinowner $what ended with $status" ;;
		esac
	done
done

# The page as it is: the script has run, so the policy allows it, and nothing was refused.
browser --dump-dom "file://$work/big.html" >"$work/dom" || fail "the page does not load"
grep -q '<th[^>]*><button' "$work/dom" || fail "the script of the page did not run"
if grep 'CONSOLE' "$work/log"; then
	fail "the browser has something to say about the page"
fi

# Without the policy, to click and to measure.
cat >"$work/probe" <<'EOF'
<script>
const button = document.querySelectorAll("#holders th button");
const texts = (at) => Array.from(document.querySelectorAll("#holders tbody tr"), (r) => r.cells[at].dataset.v);
const sorted = (list, sign) => list.every((v, i) => i === 0 || sign * (v - list[i - 1]) >= 0);
const found = [];
button[3].click();
found.push(sorted(texts(3), 1) ? "ascending" : "unsorted");
button[6].click();
found.push(sorted(texts(6), -1) ? "descending" : "unsorted");
for (const width of [1280, 400]) {
	const frame = document.createElement("iframe");
	frame.style = `width:${width}px;height:800px;border:0`;
	const page = document.documentElement.cloneNode(true);
	page.querySelectorAll("script").forEach((s) => s.remove());
	document.body.append(frame);
	frame.contentDocument.open();
	frame.contentDocument.write("<!DOCTYPE html>" + page.outerHTML);
	frame.contentDocument.close();
	const root = frame.contentDocument.documentElement;
	found.push(root.scrollWidth <= width ? `fits${width}` : `sticks-out-by-${root.scrollWidth - width}-at-${width}`);
	frame.remove();
}
document.title = "probe: " + found.join(" ");
</script>
EOF
for size in small big; do
	sed 's/<meta http-equiv="Content-Security-Policy"[^>]*>//' "$work/$size.html" |
		cat - "$work/probe" >"$work/probed.html"
	browser --dump-dom "file://$work/probed.html" >"$work/dom" || fail "the page does not load"
	got=$(sed -n 's/.*<title>probe: \([^<]*\)<.*/\1/p' "$work/dom")
	[ "$got" = "ascending descending fits1280 fits400" ] || fail "$size: ${got:-the script failed}"
done

if [ -n "$pictures" ]; then
	mkdir -p "$pictures"
	for size in small big; do
		for scheme in 0:dark 1:light; do
			for width in 1280 400; do
				# A window is never that narrow: a frame in it is.
				cat >"$work/frame.html" <<-EOF
					<!DOCTYPE html><html><body style="margin:0">
					<iframe src="$size.html" style="width:${width}px;height:4000px;border:0"></iframe>
				EOF
				browser --blink-settings=preferredColorScheme=${scheme%:*} --window-size=$width,4000 \
					--screenshot="$pictures/$size-$width-${scheme#*:}.png" "file://$work/frame.html"
			done
			browser --blink-settings=preferredColorScheme=${scheme%:*} --window-size=1200,2600 \
				--screenshot="$pictures/$size-timeline-${scheme#*:}.png" "file://$work/$size-timeline.svg"
		done
		browser --window-size=1200,600 \
			--screenshot="$pictures/$size-flame.png" "file://$work/$size-flame.svg"
	done
	echo "screenshots: pictures are in $pictures"
fi
echo "screenshots: ok"
