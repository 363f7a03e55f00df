# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# Sourced by the other scripts: where things are, the toolchain, progress lines.

top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cache=${PPO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/page_pin_owner}
kernel_tarball=/usr/src/linux-source-6.12.tar.xz
bindgen_version=0.72.1
clang_version=19
bindgen_root=$cache/bindgen-$bindgen_version
guest_target=$(uname -m)-unknown-linux-gnu
# What setup-qemu unpacks
backports_qemu=$cache/qemu-backports
mkdir -p "$cache"

# The distribution's toolchain even where rustup's is first in PATH: the kernel
# needs rust-src of the very same version. Cargo would put its own bin folder
# in front if PATH did not name it at all. mkfs is not in a user's PATH.
export PATH=$bindgen_root/bin:/usr/bin:$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/sbin
export RUSTC=/usr/bin/rustc CARGO_TARGET_DIR=$cache/target
if [ -d /usr/lib/llvm-14/lib ]; then
	export LIBCLANG_PATH=/usr/lib/llvm-14/lib
fi

# No date or user in the objects
export KBUILD_BUILD_TIMESTAMP=2026-01-01 KBUILD_BUILD_USER=ppo KBUILD_BUILD_HOST=lab

# compiler_of KIND: the compiler of a test kernel of that kind
compiler_of() {
	case $1 in
	lab | noref) echo gcc ;;
	*) echo "clang-$clang_version" ;;
	esac
}

# toolchain_of KIND: the arguments make needs for a test kernel of that kind, and for a
# module for it, one to a line
toolchain_of() {
	[ "$(compiler_of "$1")" != gcc ] || return 0
	echo "CC=$(compiler_of "$1")"
	# bindgen has to understand what the compiler does.
	echo "LIBCLANG_PATH=/usr/lib/llvm-$clang_version/lib"
}

# source_version: of the test kernels' source
source_version() {
	dpkg-query -W -f '${Version}\n' linux-source-6.12 2>/dev/null ||
		sha256sum "$kernel_tarball" | cut -c 1-12
}

# source_dir: where it is unpacked
source_dir() {
	local version

	version=$(source_version)
	echo "$cache/linux-source-6.12-${version//[^a-zA-Z0-9.+-]/_}"
}

# qemu_major PROGRAM: its major version, 0 if it is not there
qemu_major() {
	("$1" --version 2>/dev/null || echo QEMU 0) | sed -n '1s/[^0-9]*\([0-9]*\).*/\1/p'
}

say() {
	echo "$*" >&2
}

step() {
	say "==> $*"
}

die() {
	say "${0##*/}: $*"
	exit 1
}

# progress LOG: how many lines LOG has, until killed or until the script is gone
progress() {
	local every=20 end='\n'

	if [ -t 2 ]; then
		every=2 end='\r'
	fi
	while sleep "$every" && kill -0 $$ 2>/dev/null; do
		# shellcheck disable=SC2059 # the format is ours
		printf "    %d s, %d steps$end" "$((SECONDS - began))" "$(wc -l <"$1")" >&2
	done
}

# long_step TEXT LOG COMMAND...: run COMMAND with its output in LOG, show that
# it lives and how long it took; on failure show the end of LOG and give up
long_step() {
	local text=$1 log=$2 began=$SECONDS status=0 ticker
	shift 2

	step "$text"
	: >"$log"
	progress "$log" &
	ticker=$!
	"$@" >"$log" 2>&1 || status=$?
	kill "$ticker" 2>/dev/null || :
	wait "$ticker" 2>/dev/null || :
	if [ "$status" -ne 0 ]; then
		tail -n 30 "$log" >&2
		die "failed after $((SECONDS - began)) s: $text (whole log: $log)"
	fi
	say "    done in $((SECONDS - began)) s"
}
