// SPDX-License-Identifier: GPL-2.0
/*
 * Takes a reference to a page at the one moment at which nobody but the kernel's
 * soft offlining has it: what was in it has been migrated, and it is poisoned next.
 * A task of its own gives the reference back when the module is removed.
 */
#include <linux/fprobe.h>
#include <linux/kthread.h>
#include <linux/memory_hotplug.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/module.h>

static unsigned long pfn;
module_param(pfn, ulong, 0);
MODULE_PARM_DESC(pfn, "The page, about to be soft-offlined");

static struct page *page;
static struct page *taken;

static int migrate_pages_enter(struct fprobe *fp, unsigned long ip,
			       unsigned long ret_ip, struct pt_regs *regs,
			       void *data)
{
	/* The sixth argument is the reason; the exit is of no use otherwise. */
	return regs_get_kernel_argument(regs, 5) != MR_MEMORY_FAILURE;
}

static void migrate_pages_exit(struct fprobe *fp, unsigned long ip,
			       unsigned long ret_ip, struct pt_regs *regs,
			       void *data)
{
	if (!regs_return_value(regs) && !READ_ONCE(taken) &&
	    get_page_unless_zero(page))
		WRITE_ONCE(taken, page);
}

static struct fprobe probe = {
	.entry_handler	= migrate_pages_enter,
	.exit_handler	= migrate_pages_exit,
};

static int wait_and_put(void *unused)
{
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
	if (taken)
		put_page(taken);
	return 0;
}

static struct task_struct *taker;

static int __init ppo_take_init(void)
{
	int ret;

	page = pfn_to_online_page(pfn);
	if (!page)
		return -ENXIO;
	taker = kthread_run(wait_and_put, NULL, "ppo_take");
	if (IS_ERR(taker))
		return PTR_ERR(taker);
	ret = register_fprobe_syms(&probe, (const char *[]){ "migrate_pages" }, 1);
	if (ret)
		kthread_stop(taker);
	return ret;
}
module_init(ppo_take_init);

static void __exit ppo_take_exit(void)
{
	unregister_fprobe(&probe);
	kthread_stop(taker);
}
module_exit(ppo_take_exit);

MODULE_DESCRIPTION("Takes a reference to a page that is being soft-offlined");
MODULE_LICENSE("GPL");
