// SPDX-License-Identifier: GPL-2.0
/*
 * What tracing every put with BPF begins with: is this page one of those that are
 * looked for?
 */
#include <linux/bpf.h>

static void *(*const map_lookup_elem)(void *map, const void *key) =
	(void *)BPF_FUNC_map_lookup_elem;

struct {
	int	(*type)[BPF_MAP_TYPE_HASH];
	int	(*max_entries)[65536];
	__u64	*key;		/* struct page * */
	__u64	*value;		/* puts */
} pages SEC(".maps");

SEC("raw_tp")
int put(struct bpf_raw_tracepoint_args *args)
{
	__u64 page = args->args[0];
	__u64 *puts;

	if ((int)args->args[1] >= 0)
		return 0;
	puts = map_lookup_elem(&pages, &page);
	if (puts)
		__sync_fetch_and_add(puts, 1);
	return 0;
}

static const char terms[] SEC("license") = "GPL";
