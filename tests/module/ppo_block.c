// SPDX-License-Identifier: GPL-2.0
/*
 * Has two pages side by side, the second of which counts no references, as is so
 * for all pages of such a block but the first. Its pfn can be read.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

static unsigned long pfn;
module_param(pfn, ulong, 0444);
MODULE_PARM_DESC(pfn, "The second page, to be read");

static struct page *block;

static int __init ppo_block_init(void)
{
	block = alloc_pages(GFP_KERNEL, 1);
	if (!block)
		return -ENOMEM;
	pfn = page_to_pfn(block) + 1;
	return 0;
}
module_init(ppo_block_init);

static void __exit ppo_block_exit(void)
{
	__free_pages(block, 1);
}
module_exit(ppo_block_exit);

MODULE_DESCRIPTION("Has a page that counts no references");
MODULE_LICENSE("GPL");
