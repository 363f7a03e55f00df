// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters. They are declared in C because a kernel's module! macro
 * may not know parameters; what they mean is decided in Rust.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "bindings_helper.h"

unsigned int ppo_max_marks = 65536;
module_param_named(max_marks, ppo_max_marks, uint, 0444);
MODULE_PARM_DESC(max_marks, "Folios marked at once, 1-1048576 (default 65536)");

unsigned int ppo_depot_kib = 4096;
module_param_named(depot_kib, ppo_depot_kib, uint, 0444);
MODULE_PARM_DESC(depot_kib, "Cap of the stack depot in KiB, 64-262144 (default 4096)");

unsigned int ppo_stack_depth = 16;
module_param_named(stack_depth, ppo_stack_depth, uint, 0444);
MODULE_PARM_DESC(stack_depth, "Frames kept of a stack, 1-64 (default 16)");

unsigned int ppo_watch_kib = 65536;
module_param_named(watch_kib, ppo_watch_kib, uint, 0444);
MODULE_PARM_DESC(watch_kib, "Cap of the ledger in KiB, 64-16777216 (default 65536)");

unsigned int ppo_entries = 8;
module_param_named(entries, ppo_entries, uint, 0444);
MODULE_PARM_DESC(entries, "References kept of a watched page: 2, 4, 6 or 8 (default 8)");

/* A parameter that Rust reads and writes, and that may be changed at any time. */
#define PPO_PARAM(name, desc)							\
	static int name##_set(const char *val, const struct kernel_param *kp)	\
	{									\
		return ppo_rust_##name##_set(val);				\
	}									\
										\
	static int name##_get(char *buffer, const struct kernel_param *kp)	\
	{									\
		return ppo_rust_##name##_get(buffer, PAGE_SIZE);		\
	}									\
										\
	static const struct kernel_param_ops name##_ops = {			\
		.set = name##_set,						\
		.get = name##_get,						\
	};									\
										\
	module_param_cb(name, &name##_ops, NULL, 0644);				\
	MODULE_PARM_DESC(name, desc)

PPO_PARAM(reasons, "Reasons to mark folios for: 'all' (default) or names, comma-separated");
PPO_PARAM(until, "Until when a folio is traced: 'free' (default) or 'unpinned'");
PPO_PARAM(arming, "When puts are watched: 'always' (default) or 'on_demand', once a folio is marked");
PPO_PARAM(max_age, "Seconds after which a folio is forgotten, 0 (default): never");
PPO_PARAM(report_rate, "Reports a second at most, 0: no limit (default 1000)");
PPO_PARAM(longterm_ms, "Milliseconds after which a reference to a watched page is a long one (default 1000)");
