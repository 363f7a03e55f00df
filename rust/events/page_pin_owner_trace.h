/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM page_pin_owner

#if !defined(_PAGE_PIN_OWNER_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _PAGE_PIN_OWNER_TRACE_H

#include <linux/tracepoint.h>
#include <trace/events/mmflags.h>

#include "../sys/bindings_helper.h"
#include "page_flag_enums.h"

/*
 * Names of our own are arrays: a hist trigger takes only one dynamic string in
 * its key, and keys=reason,stage is what one wants to count by.
 */
#define PPO_NAME_LEN	12

/* A folio was marked. */
TRACE_EVENT(report_page_pinners,

	TP_PROTO(const struct ppo_report *r),

	TP_ARGS(r),

	TP_STRUCT__entry(
		__field(unsigned long,	pfn)
		__field(unsigned long,	flags)
		__field(int,		count)
		__field(int,		mapcount)
		__field(void *,		mapping)
		__field(int,		mt)
		__string(reason,	ppo_reason_names[r->reason])
		__field(int,		err)
		__array(char,		stage,	PPO_NAME_LEN)
		__field(int,		expected)
		__field(unsigned int,	order)
		__field(unsigned int,	stack)
		__array(char,		result,	PPO_NAME_LEN)
	),

	TP_fast_assign(
		__entry->pfn = r->folio.pfn;
		__entry->flags = r->folio.flags & PAGEFLAGS_MASK;
		__entry->count = r->folio.count;
		__entry->mapcount = r->folio.mapcount;
		__entry->mapping = r->folio.mapping;
		__entry->mt = r->folio.mt;
		__assign_str(reason);
		__entry->err = r->err;
		strscpy(__entry->stage, ppo_stage_names[r->stage], PPO_NAME_LEN);
		__entry->expected = r->folio.expected;
		__entry->order = r->folio.order;
		__entry->stack = r->stack;
		strscpy(__entry->result, ppo_recovery_names[r->recovery], PPO_NAME_LEN);
	),

	/* Only a hard memory error has a result. */
	TP_printk("pfn=0x%lx flags=%s count=%d mapcount=%d mapping=%p mt=%d reason=%s err=%d stage=%s expected=%d order=%u stack=%u%s%s",
		__entry->pfn, show_page_flags(__entry->flags),
		__entry->count, __entry->mapcount, __entry->mapping,
		__entry->mt, __get_str(reason), __entry->err,
		__entry->stage, __entry->expected, __entry->order,
		__entry->stack, __entry->result[0] ? " result=" : "",
		__entry->result)
);

/* A reference to a marked folio was dropped. */
TRACE_EVENT(page_pin_owner_put,

	TP_PROTO(const struct ppo_put *p),

	TP_ARGS(p),

	TP_STRUCT__entry(
		__field(unsigned long,	pfn)
		__field(unsigned long,	flags)
		__field(int,		count)
		__field(int,		mapcount)
		__field(void *,		mapping)
		__field(int,		mt)
		__string(reason,	ppo_reason_names[p->reason])
		__array(char,		stage,	PPO_NAME_LEN)
		__field(int,		refs)
		__field(u64,		age_us)
		__field(int,		last)
		__field(unsigned int,	stack)
	),

	TP_fast_assign(
		__entry->pfn = p->folio.pfn;
		__entry->flags = p->folio.flags & PAGEFLAGS_MASK;
		__entry->count = p->folio.count;
		__entry->mapcount = p->folio.mapcount;
		__entry->mapping = p->folio.mapping;
		__entry->mt = p->folio.mt;
		__assign_str(reason);
		strscpy(__entry->stage, ppo_stage_names[p->stage], PPO_NAME_LEN);
		__entry->refs = p->refs;
		__entry->age_us = p->age_us;
		__entry->last = p->last;
		__entry->stack = p->stack;
	),

	TP_printk("pfn=0x%lx flags=%s count=%d mapcount=%d mapping=%p mt=%d reason=%s stage=%s refs=%d age_us=%llu last=%d stack=%u",
		__entry->pfn, show_page_flags(__entry->flags),
		__entry->count, __entry->mapcount, __entry->mapping,
		__entry->mt, __get_str(reason), __entry->stage,
		__entry->refs, __entry->age_us, __entry->last,
		__entry->stack)
);

/* The story of a marked folio ended. */
TRACE_EVENT(page_pin_owner_free,

	TP_PROTO(const struct ppo_free *f),

	TP_ARGS(f),

	TP_STRUCT__entry(
		__field(unsigned long,	pfn)
		__string(reason,	ppo_reason_names[f->reason])
		__array(char,		stage,	PPO_NAME_LEN)
		__field(unsigned int,	puts)
		__field(u64,		age_us)
		__array(char,		cause,	PPO_NAME_LEN)
	),

	TP_fast_assign(
		__entry->pfn = f->pfn;
		__assign_str(reason);
		strscpy(__entry->stage, ppo_stage_names[f->stage], PPO_NAME_LEN);
		__entry->puts = f->puts;
		__entry->age_us = f->age_us;
		strscpy(__entry->cause, ppo_cause_names[f->cause], PPO_NAME_LEN);
	),

	TP_printk("pfn=0x%lx reason=%s stage=%s puts=%u age_us=%llu cause=%s",
		__entry->pfn, __get_str(reason), __entry->stage,
		__entry->puts, __entry->age_us, __entry->cause)
);

#endif /* _PAGE_PIN_OWNER_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE page_pin_owner_trace

/* This part must be outside protection */
#include <trace/define_trace.h>
