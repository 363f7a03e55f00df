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

/* The functions of CONFIG_DEBUG_PAGE_REF that a change of references is traced through. */
u64 ppo_page_ref_function(unsigned int n)
{
	switch (n) {
	case 0:
		return (unsigned long)__page_ref_mod;
	case 1:
		return (unsigned long)__page_ref_mod_and_test;
	case 2:
		return (unsigned long)__page_ref_mod_and_return;
	case 3:
		return (unsigned long)__page_ref_mod_unless;
	case 4:
		return (unsigned long)__page_ref_set;
	case 5:
		return (unsigned long)__page_ref_unfreeze;
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

/* The task with this pid, if it is older than @then, in nanoseconds since boot. */
bool ppo_task_of(int pid, u64 then, struct ppo_task *task)
{
	struct task_struct *t;
	bool found = false;

	rcu_read_lock();
	t = pid_task(find_pid_ns(pid, &init_pid_ns), PIDTYPE_PID);
	if (t && t->start_time <= then) {
		memcpy(task->comm, t->comm, sizeof(task->comm));
		task->pid = pid;
		found = true;
	}
	rcu_read_unlock();
	return found;
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
