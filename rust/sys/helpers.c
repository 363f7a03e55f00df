// SPDX-License-Identifier: GPL-2.0
/*
 * C that Rust cannot reach otherwise: inline functions, macros, and the static
 * initialisers of work items. No policy lives here.
 */
#include <linux/fprobe.h>
#include <linux/irq_work.h>
#include <linux/kallsyms.h>
#include <linux/memory_hotplug.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/page-isolation.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/stacktrace.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

#include "bindings_helper.h"

/*
 * Folios
 *
 * Everything here may be called on a page that is being freed or split, so it
 * uses none of the accessors that assert a stable folio.
 */

/* A page that changes under us may show any order: never believe more. */
#define PPO_MAX_ORDER	(PUD_SHIFT - PAGE_SHIFT)

u64 ppo_page_to_pfn(const struct page *page)
{
	return page_to_pfn(page);
}

u64 ppo_memmap_start(void)
{
	return (unsigned long)pfn_to_page(0);
}

/*
 * The folio of @page; NULL if nothing can be said of it. Nobody keeps memory from
 * going offline meanwhile, and then its struct pages may be filled with ones
 * (page_init_poison()), which page_folio() would make a pointer of.
 */
static struct folio *page_folio_racy(struct page *page)
{
	unsigned long head = READ_ONCE(page->compound_head);
	struct folio *folio;

	if (head == PAGE_POISON_PATTERN)
		return NULL;
	folio = (struct folio *)(head & 1 ? head - 1 : (unsigned long)page);
	return PagePoisoned(&folio->page) ? NULL : folio;
}

static unsigned int folio_order_racy(const struct folio *folio)
{
	unsigned int order;

	if (!(READ_ONCE(folio->flags) & BIT(PG_head)))
		return 0;
	order = READ_ONCE(folio->_flags_1) & 0xff;
	return order <= PPO_MAX_ORDER ? order : 0;
}

static int folio_mapcount_racy(const struct folio *folio, unsigned int order)
{
	int mapcount;

	if (order)
		return atomic_read(&folio->_large_mapcount) + 1;
	mapcount = atomic_read(&folio->_mapcount) + 1;
	return page_mapcount_is_type(mapcount) ? 0 : mapcount;
}

static bool folio_is_hugetlb_racy(const struct folio *folio)
{
	/* A type that changes under us is as good as none. */
	return data_race(folio->page.page_type >> 24) == PGTY_hugetlb;
}

/*
 * The references folio_migrate_mapping() will accept, without the isolation; and
 * the one that memory_failure() keeps, so that a poisoned page stays out of use.
 */
static int folio_expected_racy(const struct folio *folio, unsigned int order,
			       int mapcount)
{
	unsigned long flags = READ_ONCE(folio->flags);
	unsigned long mapping = (unsigned long)READ_ONCE(folio->mapping);
	int expected = mapcount;

	/* Slab, page tables and the like: whoever allocated it holds it. */
	if (page_has_type(&folio->page) && !folio_is_hugetlb_racy(folio))
		return 0;
	if (mapping & PAGE_MAPPING_ANON) {
		if ((flags & BIT(PG_swapbacked)) && (flags & BIT(PG_swapcache)))
			expected += 1 << order;
	} else {
		if (mapping & ~PAGE_MAPPING_FLAGS)
			expected += 1 << order;
		expected += !!(flags & BIT(PG_private));
	}
	/* hugetlb's own pages it keeps only where they stay in a file. */
	if ((flags & __PG_HWPOISON) && order == 0)
		expected++;
	else if ((flags & __PG_HWPOISON) && folio_is_hugetlb_racy(folio) &&
		 mapping && !(mapping & PAGE_MAPPING_FLAGS))
		expected++;
	return expected;
}

static int page_migratetype(unsigned long pfn)
{
#ifdef CONFIG_SPARSEMEM
	struct mem_section *ms = __pfn_to_section(pfn);
	unsigned long bit;

	if (!valid_section(ms))
		return -1;
	bit = ((pfn & (PAGES_PER_SECTION - 1)) >> pageblock_order) *
		NR_PAGEBLOCK_BITS;
	return (READ_ONCE(section_to_usemap(ms)[BIT_WORD(bit)]) >>
		(bit % BITS_PER_LONG)) & MIGRATETYPE_MASK;
#else
	return -1;
#endif
}

/* Context: any, NMI included. @page may be of any state. */
void ppo_folio_read(struct page *page, struct ppo_folio *f)
{
	struct folio *folio = (struct folio *)page;

	f->pfn = page_to_pfn(page);
	f->flags = READ_ONCE(folio->flags);
	f->mapping = READ_ONCE(folio->mapping);
	f->count = atomic_read(&folio->_refcount);
	f->order = folio_order_racy(folio);
	f->mapcount = folio_mapcount_racy(folio, f->order);
	f->expected = folio_expected_racy(folio, f->order, f->mapcount);
	f->mt = page_migratetype(f->pfn);
}

/* Memory of users, which could be moved if nobody held it */
static bool folio_is_movable_racy(const struct folio *folio,
				  const struct ppo_folio *f)
{
	if (folio_is_hugetlb_racy(folio))
		return true;
	if (page_has_type(&folio->page))
		return false;
	return f->mapping || f->mapcount > 0 || (f->flags & BIT(PG_lru));
}

struct page *ppo_folio_of_list(struct list_head *entry)
{
	return &list_entry(entry, struct folio, lru)->page;
}

static bool is_obstacle(const struct folio *folio, const struct ppo_folio *f,
			enum ppo_scan what)
{
	switch (what) {
	case PPO_SCAN_OFFLINE:
		if (f->flags & __PG_HWPOISON)
			return false;
		break;
	case PPO_SCAN_COMPACTION:
		if (!(f->flags & BIT(PG_lru)) || (f->flags & BIT(PG_swapcache)) ||
		    !((unsigned long)f->mapping & PAGE_MAPPING_ANON))
			return false;
		break;
	case PPO_SCAN_RANGE:
		break;
	}
	return f->count > f->expected && folio_is_movable_racy(folio, f);
}

/*
 * The next folio from *pfn on that somebody holds although it should be free;
 * false at @end. *pfn is moved behind it.
 */
bool ppo_scan(u64 *pfn, u64 end, enum ppo_scan what, struct ppo_folio *f)
{
	while (*pfn < end) {
		struct page *page = pfn_to_online_page(*pfn);
		struct folio *folio;
		u64 next;

		if (!page) {
			(*pfn)++;
			continue;
		}
		if (PageBuddy(page)) {
			unsigned long order = READ_ONCE(page_private(page));

			*pfn += order <= MAX_PAGE_ORDER ? 1UL << order : 1;
			continue;
		}
		folio = page_folio_racy(page);
		if (!folio) {
			(*pfn)++;
			continue;
		}
		ppo_folio_read(&folio->page, f);
		next = f->pfn + (1UL << f->order);
		*pfn = max(next, *pfn + 1);

		if (!is_obstacle(folio, f, what))
			continue;
		/* It may have been read while it changed: a second time? */
		ppo_folio_read(&folio->page, f);
		if (page_folio_racy(page) == folio && is_obstacle(folio, f, what))
			return true;
	}
	return false;
}

struct page *ppo_page_at(u64 pfn)
{
	return pfn_to_online_page(pfn);
}

/* The head of the folio that has @pfn now; NULL if there is no such page. */
struct page *ppo_folio_at(u64 pfn)
{
	struct page *page = pfn_to_online_page(pfn);
	struct folio *folio = page ? page_folio_racy(page) : NULL;

	return folio ? &folio->page : NULL;
}

/* The first pfn behind all memory there is. */
u64 ppo_end_pfn(void)
{
	unsigned long end = 0;
	int nid;

	for_each_online_node(nid)
		end = max(end, node_end_pfn(nid));
	return end;
}

/* The third argument of test_pages_isolated(): is the range to go offline? */
bool ppo_isolation_is_offlining(u64 mode)
{
	return mode & MEMORY_OFFLINE;
}

/* Is its pageblock set aside for whoever wants the range? */
bool ppo_is_isolated(u64 pfn)
{
#ifdef CONFIG_MEMORY_ISOLATION
	return page_migratetype(pfn) == MIGRATE_ISOLATE;
#else
	return false;
#endif
}

bool ppo_folio_is_on_lru(const struct page *page)
{
	return READ_ONCE(page->flags) & BIT(PG_lru);
}

/* Is it the head of a huge page that nobody uses? Who freezes one holds its lock. */
bool ppo_folio_is_in_pool(struct page *page)
{
	struct folio *folio = (struct folio *)page;

	return folio_is_hugetlb_racy(folio) && !folio_test_locked(folio) &&
	       !folio_ref_count(folio) && !folio_test_locked(folio);
}

/*
 * Does memory_failure() keep a reference to a page of this type? Of the kernel's
 * own it could not even get one.
 */
bool ppo_poison_keeps(int type)
{
	return type != MF_MSG_GET_HWPOISON && type != MF_MSG_KERNEL_HIGH_ORDER;
}

/*
 * Does a call that returns to @addr prepare memory for a long-term pin? Compilers
 * differ in what they inline, and the start of a name is enough.
 */
bool ppo_pins_longterm(u64 addr)
{
	char name[48];

	snprintf(name, sizeof(name), "%ps", (void *)(unsigned long)(addr - 1));
	return strstr(name, "longterm") || strstr(name, "check_and_migrate_movable");
}

/*
 * Probes
 */

/* The functions of CONFIG_DEBUG_PAGE_REF that a put is traced through. */
u64 ppo_page_ref_function(unsigned int n)
{
	switch (n) {
	case 0:
		return (unsigned long)__page_ref_mod;
	case 1:
		return (unsigned long)__page_ref_mod_and_test;
	case 2:
		return (unsigned long)__page_ref_mod_and_return;
	default:
		return 0;
	}
}

/* Calls that may be between entry and exit at once; more are counted as missed. */
#define PPO_FPROBE_ACTIVE	256

struct ppo_fprobe {
	struct fprobe fp;
	const void *functions;	/* what Rust knows of them */
	size_t nr;
	struct rcu_head rcu;
};

struct fprobe *ppo_fprobe_new(fprobe_entry_cb entry, fprobe_exit_cb exit,
			      size_t data_size, const void *functions, size_t nr)
{
	struct ppo_fprobe *ppo = kzalloc(sizeof(*ppo), GFP_KERNEL);
	struct fprobe *fp = &ppo->fp;

	if (!ppo)
		return NULL;
	fp->entry_handler = entry;
	fp->exit_handler = exit;
	fp->entry_data_size = data_size;
	fp->nr_maxactive = PPO_FPROBE_ACTIVE;
	ppo->functions = functions;
	ppo->nr = nr;
	return fp;
}

const void *ppo_fprobe_functions(const struct fprobe *fp, size_t *nr)
{
	const struct ppo_fprobe *ppo = container_of(fp, struct ppo_fprobe, fp);

	*nr = ppo->nr;
	return ppo->functions;
}

int ppo_fprobe_register(struct fprobe *fp, const char **symbols, int nr)
{
	return register_fprobe_syms(fp, symbols, nr);
}

/*
 * Also of one that was never registered. May sleep. A handler may still run, on its
 * way out of the function: until then its memory stays, and the caller has to wait
 * for an RCU grace period before what it uses goes.
 */
void ppo_fprobe_free(struct fprobe *fp)
{
	unregister_fprobe(fp);
	kfree_rcu(container_of(fp, struct ppo_fprobe, fp), rcu);
}

u64 ppo_fprobe_missed(const struct fprobe *fp)
{
	return READ_ONCE(fp->nmissed);
}

u64 ppo_regs_argument(struct pt_regs *regs, unsigned int n)
{
	return regs_get_kernel_argument(regs, n);
}

u64 ppo_regs_return(struct pt_regs *regs)
{
	return regs_return_value(regs);
}

struct find_tracepoint {
	const char *name;
	struct tracepoint *found;
};

static void find_tracepoint(struct tracepoint *tp, void *priv)
{
	struct find_tracepoint *find = priv;

	if (!strcmp(tp->name, find->name))
		find->found = tp;
}

/* Not every tracepoint we need is exported, but all can be walked. */
struct tracepoint *ppo_tracepoint_find(const char *name)
{
	struct find_tracepoint find = { .name = name };

	for_each_kernel_tracepoint(find_tracepoint, &find);
	return find.found;
}

int ppo_tracepoint_register(struct tracepoint *tp, void *probe)
{
	return tracepoint_probe_register(tp, probe, NULL);
}

void ppo_tracepoint_unregister(struct tracepoint *tp, void *probe)
{
	tracepoint_probe_unregister(tp, probe, NULL);
}

void ppo_tracepoint_synchronize(void)
{
	tracepoint_synchronize_unregister();
}

u64 ppo_tracepoint_iterator(const struct tracepoint *tp)
{
	return (unsigned long)tp->iterator;
}

/*
 * Functions, tasks
 */

/* Length in bytes of the function that starts at @addr, 0 if not known. May sleep. */
u64 ppo_function_size(u64 addr)
{
	char *name = kmalloc(KSYM_SYMBOL_LEN, GFP_KERNEL);
	unsigned long len = 0;
	char *size;

	if (!name)
		return 0;
	sprint_symbol(name, addr);
	size = strstr(name, "+0x0/");
	if (!size || sscanf(size, "+0x0/%lx", &len) != 1)
		len = 0;
	kfree(name);
	return len;
}

bool ppo_text_is_ours(u64 addr)
{
	return within_module_core(addr, THIS_MODULE);
}

void ppo_task_read(struct ppo_task *task)
{
	BUILD_BUG_ON(sizeof(task->comm) != sizeof(current->comm));
	memcpy(task->comm, current->comm, sizeof(task->comm));
	task->pid = current->pid;
}

/*
 * Memory of marks
 *
 * Marks are made with preemption off, often when memory is short: what cannot be
 * had at once comes from a reserve, which a work item fills up again.
 */
#define PPO_RESERVE_UNITS	8
#define PPO_RESERVE_BLOCKS	32

/* kmalloc() would make 512 bytes of the 264 that a block has. */
static struct kmem_cache *block_cache;
static mempool_t *unit_reserve, *block_reserve;

int ppo_memory_init(size_t block_size)
{
	block_cache = kmem_cache_create("page_pin_owner_block", block_size, 0, 0,
					NULL);
	return block_cache ? 0 : -ENOMEM;
}

void ppo_memory_exit(void)
{
	kmem_cache_destroy(block_cache);
}

/* Make the reserve. May sleep. */
int ppo_reserve_open(size_t unit_size)
{
	unit_reserve = mempool_create_kmalloc_pool(PPO_RESERVE_UNITS, unit_size);
	block_reserve = mempool_create_slab_pool(PPO_RESERVE_BLOCKS, block_cache);
	if (unit_reserve && block_reserve)
		return 0;
	ppo_reserve_close();
	return -ENOMEM;
}

/* Give the reserve back; all that came from it must be back. May sleep. */
void ppo_reserve_close(void)
{
	mempool_destroy(unit_reserve);
	mempool_destroy(block_reserve);
	unit_reserve = NULL;
	block_reserve = NULL;
}

/*
 * Zeroed memory for a mark. Context: any but NMI. Never the system's own
 * reserves: the callers of migrate_pages() may be reclaiming.
 */
void *ppo_mark_zalloc(size_t size, bool is_block)
{
	mempool_t *reserve = is_block ? block_reserve : unit_reserve;
	void *p = mempool_alloc(reserve, GFP_NOWAIT | __GFP_NOWARN);

	return p ? memset(p, 0, size) : NULL;
}

void ppo_mark_free(void *p, bool is_block)
{
	mempool_free(p, is_block ? block_reserve : unit_reserve);
}

/* Elements there now. */
static size_t ready(const mempool_t *reserve)
{
	/* Changes under us; whoever asks does so again. */
	return data_race(reserve->curr_nr);
}

static bool is_low(const mempool_t *reserve)
{
	return ready(reserve) < reserve->min_nr;
}

bool ppo_reserve_is_low(void)
{
	return is_low(unit_reserve) || is_low(block_reserve);
}

/* Bytes that are kept ready. */
size_t ppo_reserve_bytes(size_t unit_size, size_t block_size)
{
	if (!unit_reserve)
		return 0;
	return ready(unit_reserve) * unit_size + ready(block_reserve) * block_size;
}

/* mempool_alloc() that may sleep waits for ever: ask for each element ourselves. */
static void fill(mempool_t *reserve)
{
	while (is_low(reserve)) {
		void *p = reserve->alloc(GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY,
					 reserve->pool_data);

		if (!p)
			return;
		mempool_free(p, reserve);
	}
}

/* Fill the reserve up as far as there is memory. May sleep. */
void ppo_reserve_fill(void)
{
	fill(unit_reserve);
	fill(block_reserve);
}

/*
 * Other memory, deferred work, the mutex of attaching
 */

void *ppo_zalloc(size_t size)
{
	return kzalloc(size, GFP_KERNEL | __GFP_NOWARN);
}

void ppo_zfree(void *p)
{
	kfree(p);
}

/* For the index of a table, as long as a reader has it open. */
void *ppo_array_zalloc(size_t n, size_t size)
{
	return kvcalloc(n, size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

void ppo_array_free(void *p)
{
	kvfree(p);
}

static void deferred_work(struct work_struct *work)
{
	ppo_rust_deferred();
}

static DECLARE_DELAYED_WORK(ppo_work, deferred_work);

static void deferred_irq(struct irq_work *work)
{
	mod_delayed_work(system_wq, &ppo_work, 0);
}

static struct irq_work ppo_irq_work = IRQ_WORK_INIT(deferred_irq);

/* Have ppo_rust_deferred() called soon, where it may sleep. Context: any. */
void ppo_deferred_kick(void)
{
	irq_work_queue(&ppo_irq_work);
}

/* The same, a while from now. Context: any but NMI. */
void ppo_deferred_later(unsigned int ms)
{
	schedule_delayed_work(&ppo_work, msecs_to_jiffies(ms));
}

/* Nobody may kick any more. May sleep. */
void ppo_deferred_stop(void)
{
	irq_work_sync(&ppo_irq_work);
	cancel_delayed_work_sync(&ppo_work);
}

static DEFINE_MUTEX(ppo_mutex);

void ppo_mutex_lock(void)
{
	mutex_lock(&ppo_mutex);
}

void ppo_mutex_unlock(void)
{
	mutex_unlock(&ppo_mutex);
}

int ppo_module_get(void)
{
	return try_module_get(THIS_MODULE) ? 0 : -ENODEV;
}

void ppo_module_put(void)
{
	module_put(THIS_MODULE);
}

/* Is @addr, where a function was probed, in the one of this name? Context: any. */
bool ppo_symbol_is(u64 addr, const char *name)
{
	char found[48];

	snprintf(found, sizeof(found), "%ps", (void *)(unsigned long)addr);
	return !strcmp(found, name);
}

/* The name of the function that @addr lies in; @buf has PPO_SYMBOL_LEN bytes. */
void ppo_symbol(u64 addr, char *buf)
{
	sprint_symbol_no_offset(buf, addr);
}

/* Let others run; true if the task was told to stop what it does. */
bool ppo_pause(void)
{
	cond_resched();
	return signal_pending(current);
}

/*
 * The symbol, never the address, which %pS prints where there is no symbol: of
 * a module that was unloaded since. That may be while it is printed, so look at
 * what was; an overflow is printed once more anyway.
 */
void ppo_seq_frame(struct seq_file *m, u64 addr)
{
	void *p = (void *)(unsigned long)addr;
	size_t start = m->count;

	seq_printf(m, " %pS\n", p);
	if (!seq_has_overflowed(m) && !strncmp(m->buf + start, " 0x", 3)) {
		m->count = start;
		seq_printf(m, " %p (no symbol)\n", p);
	}
}
