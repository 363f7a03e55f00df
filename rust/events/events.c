// SPDX-License-Identifier: GPL-2.0
/*
 * The trace events of page_pin_owner, and the hook by which enabling one of
 * them attaches the module to the kernel.
 *
 * Probes cannot be registered from a TRACE_EVENT_FN callback: it runs under
 * tracepoints_mutex. The event class's .reg runs before that mutex is taken, so
 * the class gets one of its own around the kernel's.
 */
#include <linux/module.h>
#include <linux/trace_events.h>
/* Before CREATE_TRACE_POINTS, or its tracepoints are created here again. */
#include <trace/events/migrate.h>

#include "../sys/bindings_helper.h"

#undef EM
#undef EMe
#define EM(value, name) \
	[value] = name,
#define EMe(value, name) \
	[value] = name,

/* The kernel's names, then the two that no migration has. */
const char * const ppo_reason_names[] = {
	MIGRATE_REASON
	[MR_TYPES] = "hwpoison",
	[MR_TYPES + 1] = "manual",
};

const unsigned int ppo_reason_count = ARRAY_SIZE(ppo_reason_names);

/* In the order of Stage, Recovery and Cause in store/reason.rs. */
static const char * const ppo_stage_names[] = {
	"migrate", "isolate", "poison", "manual",
};

/* The first is for what was no memory error. */
static const char * const ppo_recovery_names[] = {
	"", "Ignored", "Failed", "Delayed", "Recovered",
};

static const char * const ppo_cause_names[] = {
	"freed", "unpinned", "expired", "evicted", "forgotten",
};

static int ppo_event_reg(struct trace_event_call *call, enum trace_reg type,
			 void *data)
{
	int ret;

	switch (type) {
	case TRACE_REG_REGISTER:
#ifdef CONFIG_PERF_EVENTS
	case TRACE_REG_PERF_REGISTER:
#endif
		ret = ppo_rust_attach();
		if (ret)
			return ret;
		ret = trace_event_reg(call, type, data);
		if (ret)
			ppo_rust_detach();
		return ret;
	case TRACE_REG_UNREGISTER:
#ifdef CONFIG_PERF_EVENTS
	case TRACE_REG_PERF_UNREGISTER:
#endif
		ret = trace_event_reg(call, type, data);
		ppo_rust_detach();
		return ret;
	default:
		return trace_event_reg(call, type, data);
	}
}

#define trace_event_reg ppo_event_reg
#define CREATE_TRACE_POINTS
#include "page_pin_owner_trace.h"
#undef trace_event_reg

void ppo_trace_report(const struct ppo_report *r)
{
	trace_report_page_pinners(r);
}

void ppo_trace_put(const struct ppo_put *p)
{
	trace_page_pin_owner_put(p);
}

void ppo_trace_free(const struct ppo_free *f)
{
	trace_page_pin_owner_free(f);
}
