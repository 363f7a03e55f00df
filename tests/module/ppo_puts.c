// SPDX-License-Identifier: GPL-2.0
/*
 * Takes and puts references to a page, in a context of choice, from as many
 * places as are asked for: each has a return address and so a stack of its own.
 * It does that while it is loaded and does not stay: loading ends with -EAGAIN.
 */
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/memory_hotplug.h>
#include <asm/nmi.h>

static unsigned long pfn;
module_param(pfn, ulong, 0);
MODULE_PARM_DESC(pfn, "The page, in use and not to be freed meanwhile");

static unsigned int places = 512;
module_param(places, uint, 0);
MODULE_PARM_DESC(places, "From how many places, 1-512");

static unsigned int times = 1;
module_param(times, uint, 0);
MODULE_PARM_DESC(times, "How often, in a task");

static char *context = "task";
module_param(context, charp, 0);
MODULE_PARM_DESC(context, "task, softirq, hardirq or nmi");

static struct page *page;

#define PUT_1(n)					\
	do {						\
		if ((n) < places) {			\
			get_page(page);			\
			put_page(page);			\
		}					\
	} while (0)
#define PUT_8(n)					\
	do {						\
		PUT_1(n); PUT_1((n) + 1);		\
		PUT_1((n) + 2); PUT_1((n) + 3);		\
		PUT_1((n) + 4); PUT_1((n) + 5);		\
		PUT_1((n) + 6); PUT_1((n) + 7);		\
	} while (0)
#define PUT_64(n)					\
	do {						\
		PUT_8(n); PUT_8((n) + 8);		\
		PUT_8((n) + 16); PUT_8((n) + 24);	\
		PUT_8((n) + 32); PUT_8((n) + 40);	\
		PUT_8((n) + 48); PUT_8((n) + 56);	\
	} while (0)

static noinline void ppo_puts(void)
{
	PUT_64(0);
	PUT_64(64);
	PUT_64(128);
	PUT_64(192);
	PUT_64(256);
	PUT_64(320);
	PUT_64(384);
	PUT_64(448);
}

static DECLARE_COMPLETION(done);

static void softirq_puts(struct tasklet_struct *t)
{
	ppo_puts();
	complete(&done);
}

static DECLARE_TASKLET(softirq, softirq_puts);

static void hardirq_puts(struct irq_work *work)
{
	ppo_puts();
	complete(&done);
}

static struct irq_work hardirq = IRQ_WORK_INIT_HARD(hardirq_puts);

static bool nmi_raised;

static int nmi_puts(unsigned int type, struct pt_regs *regs)
{
	if (!READ_ONCE(nmi_raised))
		return NMI_DONE;
	ppo_puts();
	WRITE_ONCE(nmi_raised, false);
	return NMI_HANDLED;
}

static int raise_nmi(void)
{
	int ret = register_nmi_handler(NMI_LOCAL, nmi_puts, 0, "ppo_puts");

	if (ret)
		return ret;
	preempt_disable();
	WRITE_ONCE(nmi_raised, true);
	asm volatile("int $2");
	preempt_enable();
	unregister_nmi_handler(NMI_LOCAL, "ppo_puts");
	return READ_ONCE(nmi_raised) ? -EIO : 0;
}

static int __init ppo_puts_init(void)
{
	int ret = 0;

	page = pfn_to_online_page(pfn);
	if (!page || !get_page_unless_zero(page))
		return -ENXIO;
	if (!strcmp(context, "task")) {
		while (times--)
			ppo_puts();
	} else if (!strcmp(context, "softirq")) {
		tasklet_schedule(&softirq);
		wait_for_completion(&done);
		tasklet_kill(&softirq);
	} else if (!strcmp(context, "hardirq")) {
		irq_work_queue(&hardirq);
		wait_for_completion(&done);
		irq_work_sync(&hardirq);
	} else if (!strcmp(context, "nmi")) {
		ret = raise_nmi();
	} else {
		ret = -EINVAL;
	}
	put_page(page);
	return ret ? ret : -EAGAIN;
}
module_init(ppo_puts_init);

MODULE_DESCRIPTION("Puts references to a page in any context");
MODULE_LICENSE("GPL");
