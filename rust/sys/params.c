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

static int reasons_set(const char *val, const struct kernel_param *kp)
{
	return ppo_rust_reasons_set(val);
}

static int reasons_get(char *buffer, const struct kernel_param *kp)
{
	return ppo_rust_reasons_get(buffer, PAGE_SIZE);
}

static const struct kernel_param_ops reasons_ops = {
	.set = reasons_set,
	.get = reasons_get,
};

module_param_cb(reasons, &reasons_ops, NULL, 0644);
MODULE_PARM_DESC(reasons, "Reasons to mark folios for: 'all' (default) or names, comma-separated");
