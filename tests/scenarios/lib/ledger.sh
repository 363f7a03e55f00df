# shellcheck shell=dash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# What the ledger says of pages that are watched.

# Compilers inline, so there are alternatives.
GUP='process_vm_rw_core|process_vm_rw_single_vec|pin_user_pages_remote'
VMSPLICE='.*sys_vmsplice|vmsplice_to_pipe|iter_to_pipe'

# watch PFN COUNT: nothing but these pages
watch() {
	echo clear >"$D/watch"
	echo "$1 $2" >"$D/watch"
}

# held PFN: what the ledger says of that page, but of the batches of the LRU lists
held() {
	awk -v RS= -v ORS='\n\n' -v pfn="pfn=$1 " 'index($0, pfn) == 1 && !/ class=lru /' "$D/ledger"
}

# first PFN: the first of that, without its stack
first() {
	held "$1" | sed -n 1p
}

# is_named PFN REFS FUNCTION: the one who took them is the first that is named
is_named() {
	held "$1" | awk -v RS= 'NR == 1' >/tmp/named
	cat /tmp/named
	grep -q -E "^pfn=$1 .* refs=$2 pin=$(($2 / 1024)) sure=(certain|likely) .* comm=ppo-" /tmp/named &&
		grep -q -E "^ ($3)" /tmp/named
}

# is_nobodys PFN: nothing is left of it
is_nobodys() {
	[ -z "$(held "$1")" ]
}

# is_long PFN
is_long() {
	first "$1" | grep -q " long=1 "
}

# is_among_holders PFN: the one who has it, with how many references are held for long
is_among_holders() {
	grep -q -E "^folios=.* long=[1-9][0-9]* class=holder stack=$(first "$1" | field stack)\$" "$D/holders"
}
