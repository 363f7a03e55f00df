# shellcheck shell=dash disable=SC2154
# SPDX-License-Identifier: GPL-2.0

# mark_all PFN...: the holder's, in as few writes as there are runs of them
mark_all() {
	# Not in the shell, which takes half an hour for a million.
	echo "$@" | tr ' ' '\n' | awk '{ print $1 + 0 }' | sort -n |
		awk '$1 == first + n { n++; next } n { print first, n } { first = $1; n = 1 }
			END { print first, n }' |
		while read -r range; do
			echo "$range" >"$D/mark" || return 1
		done
}
