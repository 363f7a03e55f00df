/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What C and Rust say to each other, and all that bindgen reads.
 *
 * ppo_*() with a body in helpers.c, params.c and events.c are called from Rust;
 * the ppo_rust_*() at the end are Rust functions called from C.
 */
#ifndef _PPO_BINDINGS_HELPER_H
#define _PPO_BINDINGS_HELPER_H

#include <linux/debugfs.h>
#include <linux/fprobe.h>
#include <linux/kallsyms.h>
#include <linux/mm.h>
#include <linux/mm_types.h>
#include <linux/seq_file.h>
#include <linux/sort.h>
#include <linux/trace_events.h>
#include <linux/tracepoint.h>

#define PPO_STACK_SLACK	16	/* frames of our own, cut off after unwinding */
#define PPO_COMM_WORDS	2	/* TASK_COMM_LEN bytes, as 64-bit words */

/* A folio as it looked at one moment, read without a lock or a reference. */
struct ppo_folio {
	u64		pfn;		/* of the head page; u64 is one type in every Rust */
	u64		flags;
	void		*mapping;
	int		count;		/* references */
	int		mapcount;
	int		expected;	/* references the kernel accounts for */
	int		mt;		/* migratetype of the pageblock */
	unsigned int	order;
};

struct ppo_task {
	u64		comm[PPO_COMM_WORDS];
	int		pid;
};

/* The three events; names and order of the fields are in their TRACE_EVENT. */
struct ppo_report {
	struct ppo_folio folio;
	u32		stack;
	int		err;
	u8		reason;
	u8		stage;
	u8		recovery;	/* 0, or enum mf_result + 1 */
};

struct ppo_put {
	struct ppo_folio folio;
	u64		age_us;
	u32		stack;
	int		refs;
	int		last;
	u8		reason;
	u8		stage;
};

struct ppo_free {
	u64		pfn;
	u64		age_us;
	u32		puts;
	u8		reason;
	u8		stage;
	u8		cause;
};

/* Which of the folios that somebody holds an attempt could not take. */
enum ppo_scan {
	PPO_SCAN_RANGE,		/* to use the range: all */
	PPO_SCAN_OFFLINE,	/* to take it offline: poisoned pages are no obstacle */
	PPO_SCAN_COMPACTION,	/* to compact: anonymous ones it does not even isolate */
};

/* Scratch of one CPU at one context level: task, softirq, hardirq, NMI. */
struct ppo_context {
	unsigned long	*frames;	/* ppo_stack_depth + PPO_STACK_SLACK */
	struct ppo_memo	*memo;		/* or NULL */
	char		*name;		/* KSYM_SYMBOL_LEN */
	bool		busy;
};

/* Sizes as C sees them: Rust asserts that its own are the same. */
enum ppo_sizes {
	PPO_SIZE_FOLIO	= sizeof(struct ppo_folio),
	PPO_SIZE_TASK	= sizeof(struct ppo_task),
	PPO_SIZE_REPORT	= sizeof(struct ppo_report),
	PPO_SIZE_PUT	= sizeof(struct ppo_put),
	PPO_SIZE_FREE	= sizeof(struct ppo_free),
	PPO_SIZE_CONTEXT = sizeof(struct ppo_context),
	PPO_SIZE_PAGE	= sizeof(struct page),
	PPO_SIZE_FOPS	= sizeof(*((struct file *)NULL)->f_op),
	PPO_SIZE_SEQ_OPS = sizeof(*((struct seq_file *)NULL)->op),
	PPO_SIZE_SEQ_FILE = sizeof(struct seq_file),
	PPO_SYMBOL_LEN	= KSYM_SYMBOL_LEN,
	PPO_PIN_REFS	= GUP_PIN_COUNTING_BIAS,	/* of a small folio, for one pin */
};

/* params.c */
extern unsigned int ppo_max_marks;
extern unsigned int ppo_depot_kib;
extern unsigned int ppo_stack_depth;
extern unsigned int ppo_watch_kib;
extern unsigned int ppo_entries;

/* events.c: the kernel's migrate reasons, then hwpoison and manual */
extern const char * const ppo_reason_names[];
extern const unsigned int ppo_reason_count;
void ppo_trace_report(const struct ppo_report *r);
void ppo_trace_put(const struct ppo_put *p);
void ppo_trace_free(const struct ppo_free *f);

/* helpers.c: folios */
u64 ppo_page_to_pfn(const struct page *page);
u64 ppo_memmap_start(void);
void ppo_folio_read(struct page *page, struct ppo_folio *f);
struct page *ppo_folio_of_list(struct list_head *entry);
bool ppo_scan(u64 *pfn, u64 end, enum ppo_scan what, struct ppo_folio *f);
struct page *ppo_page_at(u64 pfn);
struct page *ppo_folio_at(u64 pfn);
u64 ppo_end_pfn(void);
bool ppo_isolation_is_offlining(u64 mode);
bool ppo_is_isolated(u64 pfn);
bool ppo_folio_is_on_lru(const struct page *page);
bool ppo_folio_is_in_pool(struct page *page);
bool ppo_page_is_kernels(const struct page *page);
bool ppo_poison_keeps(int type);
bool ppo_pins_longterm(u64 addr);

/* helpers.c: probes */
struct fprobe *ppo_fprobe_new(fprobe_entry_cb entry, fprobe_exit_cb exit,
			      size_t data_size, const void *functions, size_t nr);
const void *ppo_fprobe_functions(const struct fprobe *fp, size_t *nr);
int ppo_fprobe_register(struct fprobe *fp, const char **symbols, int nr);
void ppo_fprobe_free(struct fprobe *fp);
u64 ppo_fprobe_missed(const struct fprobe *fp);
u64 ppo_regs_argument(struct pt_regs *regs, unsigned int n);
u64 ppo_regs_return(struct pt_regs *regs);
struct tracepoint *ppo_tracepoint_find(const char *name);
int ppo_tracepoint_register(struct tracepoint *tp, void *probe);
void ppo_tracepoint_unregister(struct tracepoint *tp, void *probe);
void ppo_tracepoint_synchronize(void);
u64 ppo_tracepoint_iterator(const struct tracepoint *tp);
u64 ppo_page_ref_function(unsigned int n);

/* context.c */
int ppo_context_init(void);
void ppo_context_exit(void);
struct ppo_context *ppo_context_enter(void);
void ppo_context_leave(struct ppo_context *ctx);
bool ppo_in_task(void);
unsigned int ppo_stack_here(unsigned long *frames);
unsigned int ppo_stack_new(struct ppo_context *ctx, u32 *known);
void ppo_stack_remember(struct ppo_context *ctx, u32 handle);
unsigned long ppo_function_of(struct ppo_context *ctx, u64 addr, u64 *start);

/* helpers.c: functions, tasks */
u64 ppo_function_size(u64 addr);
bool ppo_text_is_ours(u64 addr);
void ppo_task_read(struct ppo_task *task);
bool ppo_task_of(int pid, u64 then, struct ppo_task *task);

/* helpers.c: memory of marks */
int ppo_memory_init(size_t block_size);
void ppo_memory_exit(void);
int ppo_reserve_open(size_t unit_size);
void ppo_reserve_close(void);
bool ppo_reserve_is_low(void);
size_t ppo_reserve_bytes(size_t unit_size, size_t block_size);
void ppo_reserve_fill(void);
void *ppo_mark_zalloc(size_t size, bool is_block);
void ppo_mark_free(void *p, bool is_block);

/* helpers.c: other memory, deferred work, the one mutex */
void *ppo_zalloc(size_t size);
void ppo_zfree(void *p);
void *ppo_array_zalloc(size_t n, size_t size);
void ppo_array_free(void *p);
void ppo_deferred_kick(void);
void ppo_deferred_later(unsigned int ms);
void ppo_deferred_stop(void);
void ppo_mutex_lock(void);
void ppo_mutex_unlock(void);
int ppo_module_get(void);
void ppo_module_put(void);
void ppo_symbol(u64 addr, char *buf);
bool ppo_symbol_is(u64 addr, const char *name);
bool ppo_pause(void);
void ppo_seq_frame(struct seq_file *m, u64 addr);

/* Rust */
int ppo_rust_attach(void);
void ppo_rust_detach(void);
void ppo_rust_deferred(void);
int ppo_rust_reasons_set(const char *text);
int ppo_rust_reasons_get(char *buf, size_t size);
int ppo_rust_until_set(const char *text);
int ppo_rust_until_get(char *buf, size_t size);
int ppo_rust_arming_set(const char *text);
int ppo_rust_arming_get(char *buf, size_t size);
int ppo_rust_max_age_set(const char *text);
int ppo_rust_max_age_get(char *buf, size_t size);
int ppo_rust_report_rate_set(const char *text);
int ppo_rust_report_rate_get(char *buf, size_t size);
int ppo_rust_longterm_ms_set(const char *text);
int ppo_rust_longterm_ms_get(char *buf, size_t size);

#endif
