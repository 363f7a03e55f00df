# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
#
# Sourced by what packs an image of the guest's root file system: the images that a guest
# boots with are laid over each other.

images=$cache/guest
mkdir -p "$images"
exec 9>"$images/lock"
flock 9
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# pack NAME: what is in $work becomes the image NAME
pack() {
	(cd "$work" && find . -print0 | LC_ALL=C sort -z |
		cpio --null --create --format newc --reproducible --owner 0:0 --quiet) |
		zstd -q -5 >"$images/$1.part"
	mv "$images/$1.part" "$images/$1"
	rm -rf "${work:?}"/*
}

# stale NAME FILE...: whether the image NAME is not of exactly these files;
# remembers them for the next time
stale() {
	local image=$images/$1 now
	shift

	now=$(stat -L -c '%n %s %Y' "$@" "$top/scripts/${0##*/}" "$top/scripts/image.sh")
	[ -e "$image" ] && [ "$now" = "$(cat "$image.of" 2>/dev/null)" ] && return 1
	rm -f "$image"
	echo "$now" >"$image.of"
}

# libraries FILE...: those the loader would find for these programs
libraries() {
	ldd "$@" | grep -o '/[^ :]* (0x' | cut -d ' ' -f 1 | sort -u
}

# fill FILE...: programs as the distribution has them, with their libraries
fill() {
	local file

	for file in "$@" $(libraries "$@"); do
		install -D "$file" "$work$file"
	done
}
