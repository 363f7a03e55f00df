// SPDX-License-Identifier: GPL-2.0
/*
 * Changes numbers in somebody else's memory, as a stray write would: every 32-bit
 * word from "at" on, "len" bytes of them, that is "from" becomes "to". How many there
 * were can be read from the parameter "poked".
 */
#include <linux/kasan.h>
#include <linux/module.h>

static unsigned long at;
module_param(at, ulong, 0);
MODULE_PARM_DESC(at, "Address");

static unsigned long len;
module_param(len, ulong, 0);
MODULE_PARM_DESC(len, "Bytes");

static unsigned int from;
module_param(from, uint, 0);
MODULE_PARM_DESC(from, "Value to look for");

static unsigned int to;
module_param(to, uint, 0);
MODULE_PARM_DESC(to, "Value to put in its place");

static unsigned int poked;
module_param(poked, uint, 0444);
MODULE_PARM_DESC(poked, "How many words were changed");

static int __init ppo_poke_init(void)
{
	u32 *word = (u32 *)at, *end = (u32 *)(at + len);

	/* It would see a stray write before it does any harm. */
	kasan_disable_current();
	for (; word < end; word++) {
		if (READ_ONCE(*word) != from)
			continue;
		WRITE_ONCE(*word, to);
		poked++;
	}
	kasan_enable_current();
	return 0;
}

static void __exit ppo_poke_exit(void)
{
}

module_init(ppo_poke_init);
module_exit(ppo_poke_exit);

MODULE_DESCRIPTION("Changes numbers in somebody else's memory, to test page_pin_owner");
MODULE_LICENSE("GPL");
