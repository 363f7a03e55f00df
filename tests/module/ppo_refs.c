// SPDX-License-Identifier: GPL-2.0
/*
 * Records every change of the references of a range of pages, and the stack that
 * made it: all that the ledger is told, for its replay on the host. It is kept in
 * memory that is taken at load and read from debugfs. "stacks" has a line for each:
 * its handle, and the return addresses from the inside out.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/stackdepot.h>
#include <linux/stacktrace.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <linux/vmalloc.h>
#include <trace/events/page_ref.h>

#include "../../rust/sys/folio.c"

static unsigned long first;
module_param(first, ulong, 0);
MODULE_PARM_DESC(first, "The first page");

static unsigned long pages;
module_param(pages, ulong, 0);
MODULE_PARM_DESC(pages, "How many pages");

static unsigned int room = 1 << 20;
module_param(room, uint, 0);
MODULE_PARM_DESC(room, "How many changes are kept");

#define FRAMES	24
/* The probe, the iterator, and the function of CONFIG_DEBUG_PAGE_REF: not of interest */
#define SKIP	1

enum op { SET, MOD, MOD_AND_TEST, MOD_AND_RETURN, MOD_UNLESS, FREEZE, UNFREEZE };

/* As rust/store/replay reads it */
struct change {
	u64	time;		/* monotonic, nanoseconds */
	u32	pfn;
	u32	stack;		/* 0: lost */
	s32	v;
	s32	ret;
	/* The folio just after */
	s32	count;
	s32	expected;
	s32	mapcount;
	u32	flags;		/* the lower half of page->flags */
	s32	pid;
	u16	cpu;
	u8	op;
	u8	order;
	u8	kind;		/* 1: anonymous, 2: of a file */
	u8	context;	/* see context_now() */
	u8	pad[6];
};

static_assert(sizeof(struct change) == 56);

static struct change *changes;
static atomic_t used = ATOMIC_INIT(0);
/* By handle, at its hash; 0 is free */
#define STACKS_BITS	16
static u32 *stacks;
static u32 lost_changes, lost_stacks;
/* By context: 0 is a task, then softirq, hardirq and NMI */
static DEFINE_PER_CPU(unsigned int[4], busy);

static unsigned int context_now(void)
{
	return in_nmi() ? 3 : in_hardirq() ? 2 : in_serving_softirq() ? 1 : 0;
}

static void known(u32 handle)
{
	u32 at = handle * 0x9e3779b1u >> (32 - STACKS_BITS);
	unsigned int tries;

	for (tries = 0; tries < 1 << STACKS_BITS; tries++) {
		u32 old = READ_ONCE(stacks[at]);

		if (!old)
			old = cmpxchg(&stacks[at], 0, handle);
		if (!old || old == handle)
			return;
		at = (at + 1) & ((1 << STACKS_BITS) - 1);
	}
}

static noinline void record(struct page *page, enum op op, int v, int ret)
{
	unsigned long pfn = page_to_pfn(page), frames[FRAMES];
	struct ppo_folio folio;
	struct change *change;
	unsigned int nr, at, context = context_now();

	if (pfn - first >= pages)
		return;
	/* A stack that is new may take memory, which has references too. */
	if (this_cpu_inc_return(busy[context]) > 1) {
		lost_changes++;
		goto out;
	}
	at = atomic_inc_return(&used) - 1;
	if (at >= room) {
		atomic_dec(&used);
		lost_changes++;
		goto out;
	}
	change = &changes[at];
	ppo_folio_read(page, &folio);
	change->time = ktime_get_mono_fast_ns();
	change->pfn = pfn;
	change->v = v;
	change->ret = ret;
	change->count = folio.count;
	change->expected = folio.expected;
	change->mapcount = folio.mapcount;
	change->flags = folio.flags;
	change->pid = in_task() ? current->pid : -1;
	change->cpu = raw_smp_processor_id();
	change->op = op;
	change->order = folio.order;
	change->kind = (unsigned long)folio.mapping & PAGE_MAPPING_ANON ? 1 :
		       folio.mapping ? 2 : 0;
	change->context = context;
	nr = stack_trace_save(frames, FRAMES, SKIP);
	change->stack = stack_depot_save(frames, nr, GFP_NOWAIT | __GFP_NOWARN);
	if (change->stack)
		known(change->stack);
	else
		lost_stacks++;
out:
	this_cpu_dec(busy[context]);
}

static void on_set(void *data, struct page *page, int v)
{
	record(page, SET, v, 0);
}

static void on_mod(void *data, struct page *page, int v)
{
	record(page, MOD, v, 0);
}

static void on_mod_and_test(void *data, struct page *page, int v, int ret)
{
	record(page, MOD_AND_TEST, v, ret);
}

static void on_mod_and_return(void *data, struct page *page, int v, int ret)
{
	record(page, MOD_AND_RETURN, v, ret);
}

static void on_mod_unless(void *data, struct page *page, int v, int ret)
{
	record(page, MOD_UNLESS, v, ret);
}

static void on_freeze(void *data, struct page *page, int v, int ret)
{
	record(page, FREEZE, v, ret);
}

static void on_unfreeze(void *data, struct page *page, int v)
{
	record(page, UNFREEZE, v, 0);
}

static int stacks_show(struct seq_file *m, void *unused)
{
	unsigned long *frames;
	unsigned int at, i, nr;

	for (at = 0; at < 1 << STACKS_BITS; at++) {
		if (!stacks[at])
			continue;
		nr = stack_depot_fetch(stacks[at], &frames);
		seq_printf(m, "%u", stacks[at]);
		for (i = 0; i < nr; i++)
			seq_printf(m, " %pS", (void *)frames[i]);
		seq_putc(m, '\n');
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stacks);

static struct debugfs_blob_wrapper blob;
static struct dentry *dir;

static void unregister(void)
{
	unregister_trace_page_ref_set(on_set, NULL);
	unregister_trace_page_ref_mod(on_mod, NULL);
	unregister_trace_page_ref_mod_and_test(on_mod_and_test, NULL);
	unregister_trace_page_ref_mod_and_return(on_mod_and_return, NULL);
	unregister_trace_page_ref_mod_unless(on_mod_unless, NULL);
	unregister_trace_page_ref_freeze(on_freeze, NULL);
	unregister_trace_page_ref_unfreeze(on_unfreeze, NULL);
	tracepoint_synchronize_unregister();
}

static int __init ppo_refs_init(void)
{
	int ret = stack_depot_init();

	if (ret)
		return ret;
	changes = vzalloc(array_size(room, sizeof(*changes)));
	stacks = vzalloc(array_size(1 << STACKS_BITS, sizeof(*stacks)));
	if (!changes || !stacks) {
		vfree(changes);
		vfree(stacks);
		return -ENOMEM;
	}
	blob.data = changes;
	blob.size = array_size(room, sizeof(*changes));
	dir = debugfs_create_dir("ppo_refs", NULL);
	debugfs_create_blob("changes", 0400, dir, &blob);
	debugfs_create_atomic_t("used", 0400, dir, &used);
	debugfs_create_u32("lost_changes", 0400, dir, &lost_changes);
	debugfs_create_u32("lost_stacks", 0400, dir, &lost_stacks);
	debugfs_create_file("stacks", 0400, dir, NULL, &stacks_fops);
	WARN_ON(register_trace_page_ref_set(on_set, NULL) ?:
		register_trace_page_ref_mod(on_mod, NULL) ?:
		register_trace_page_ref_mod_and_test(on_mod_and_test, NULL) ?:
		register_trace_page_ref_mod_and_return(on_mod_and_return, NULL) ?:
		register_trace_page_ref_mod_unless(on_mod_unless, NULL) ?:
		register_trace_page_ref_freeze(on_freeze, NULL) ?:
		register_trace_page_ref_unfreeze(on_unfreeze, NULL));
	return 0;
}
module_init(ppo_refs_init);

static void __exit ppo_refs_exit(void)
{
	unregister();
	debugfs_remove(dir);
	vfree(changes);
	vfree(stacks);
}
module_exit(ppo_refs_exit);

MODULE_DESCRIPTION("Records the references of a range of pages");
MODULE_LICENSE("GPL");
