#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# cut.sh SECONDS <TRACE >SMALLER: of a trace what its first SECONDS tell of the pins that were
# over by then, and of the pages that nobody pins; each with all that came before.
set -eu

gzip -dc | awk -v seconds="$1" '
	$1 == "pin" { pin[pins++] = $0 }
	$1 == "release" { release[$2] = $0; over[$2] = $4 }
	$1 == "change" {
		if (!end) {
			end = $2 + seconds * 1e9
			for (i = 0; i < pins; i++) {
				n = split(pin[i], word)
				is_over = word[2] in over && over[word[2]] < end
				for (j = 8; j <= n; j++) {
					named[word[j]] = 1
					if (is_over)
						kept[word[j]] = 1
				}
				if (is_over) {
					print pin[i]
					print release[word[2]]
				}
			}
		}
		pfn = sprintf("pfn=0x%x", $3)
		if ($2 < end && (pfn in kept || !(pfn in named))) {
			print
			stacks[$NF] = 1
		}
	}
	$1 == "stack" && $2 in stacks' | gzip -9n
