// SPDX-License-Identifier: GPL-2.0
/*
 * Has the next who puts a reference to a page wait in the middle of that: it was
 * made, and who is told of it by page_ref_mod_and_test is not told yet. Nor is who
 * comes to be told while it waits, which is until go is written, or 15 seconds.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <trace/events/page_ref.h>

static unsigned long pfn;
module_param(pfn, ulong, 0);
MODULE_PARM_DESC(pfn, "The page");

static bool waiting;
module_param(waiting, bool, 0444);
MODULE_PARM_DESC(waiting, "Somebody does, to be read");

static bool go;
module_param(go, bool, 0200);
MODULE_PARM_DESC(go, "Nobody is to wait any more");

static void wait_for_go(void *data, struct page *page, int v, int ret)
{
	unsigned long end = jiffies + 15 * HZ;

	if (page_to_pfn(page) != pfn || v >= 0)
		return;
	WRITE_ONCE(waiting, true);
	while (!READ_ONCE(go) && time_before(jiffies, end))
		cpu_relax();
	WRITE_ONCE(go, true);
	WRITE_ONCE(waiting, false);
}

static int __init ppo_slow_init(void)
{
	return register_trace_prio_page_ref_mod_and_test(wait_for_go, NULL, INT_MAX);
}
module_init(ppo_slow_init);

static void __exit ppo_slow_exit(void)
{
	unregister_trace_page_ref_mod_and_test(wait_for_go, NULL);
	tracepoint_synchronize_unregister();
}
module_exit(ppo_slow_exit);

MODULE_DESCRIPTION("Has who puts a page wait");
MODULE_LICENSE("GPL");
