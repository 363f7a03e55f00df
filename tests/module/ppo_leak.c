// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that forgets to give a reference back: ppo_leak_take() takes one to the
 * page that is written to the parameter pfn, and nobody puts it, until the module
 * is removed.
 */
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>

static struct page *leaked;

static noinline int ppo_leak_take(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (!folio_try_get(folio))
		return -EBUSY;
	leaked = page;
	return 0;
}

static int pfn_set(const char *val, const struct kernel_param *kp)
{
	struct page *page;
	unsigned long pfn;
	int ret = kstrtoul(val, 0, &pfn);

	if (ret)
		return ret;
	page = pfn_to_online_page(pfn);
	if (!page || leaked)
		return -EINVAL;
	return ppo_leak_take(page);
}

static const struct kernel_param_ops pfn_ops = {
	.set = pfn_set,
};
module_param_cb(pfn, &pfn_ops, NULL, 0200);
MODULE_PARM_DESC(pfn, "The page");

static int __init ppo_leak_init(void)
{
	return 0;
}
module_init(ppo_leak_init);

static void __exit ppo_leak_exit(void)
{
	if (leaked)
		put_page(leaked);
}
module_exit(ppo_leak_exit);

MODULE_DESCRIPTION("Leaks a reference to a page");
MODULE_LICENSE("GPL");
