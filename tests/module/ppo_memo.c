// SPDX-License-Identifier: GPL-2.0
/*
 * Comes to the memo of the last stack from stacks made to deceive it, with a real
 * unwinding beside each: others at the same stack pointer, frames of changing size,
 * return addresses that a kretprobe has put aside. Built from the module's own file.
 * It does that while it is loaded and does not stay: loading ends with -EAGAIN if no
 * stack was a wrong one, with -EILSEQ otherwise, and the log has the figures.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>
#include <linux/prandom.h>
#include <linux/randomize_kstack.h>
#include <linux/vmalloc.h>

#include "../../rust/sys/context.c"

unsigned int ppo_stack_depth = 16;
module_param_named(stack_depth, ppo_stack_depth, uint, 0);
MODULE_PARM_DESC(stack_depth, "Frames of a stack that are looked at, less 16");

#define FRAMES	80	/* at least stack_depth + PPO_STACK_SLACK */
#define STACKS	4096

struct stack {
	unsigned int	nr;
	unsigned long	frames[FRAMES];
};

static struct stack *stacks;
static unsigned int nr_stacks;
static struct rnd_state rnd;

static struct {
	unsigned int	unwound;
	unsigned int	known;	/* without unwinding */
	unsigned int	tempted;	/* another one than before at the same stack pointer */
	unsigned int	wrong;
} seen;

static unsigned long last_frame;	/* look()'s */
static u32 last_handle;

static u32 handle_of(const unsigned long *frames, unsigned int nr)
{
	u32 handle;

	for (handle = nr_stacks; handle; handle--) {
		const struct stack *stack = &stacks[handle - 1];

		if (stack->nr == nr && !memcmp(stack->frames, frames, nr * sizeof(*frames)))
			return handle;
	}
	if (WARN_ON(nr_stacks == STACKS))
		return STACKS;
	stacks[nr_stacks].nr = nr;
	memcpy(stacks[nr_stacks].frames, frames, nr * sizeof(*frames));
	return ++nr_stacks;
}

static noinline void look(void)
{
	unsigned int max = ppo_stack_depth + PPO_STACK_SLACK, nr, real;
	unsigned long frames[FRAMES];
	const struct stack *stack;
	struct ppo_context *ctx;
	unsigned long frame = (unsigned long)__builtin_frame_address(0);
	u32 known = 0, handle;

	ctx = ppo_context_enter();
	if (!ctx)
		return;
	nr = ppo_stack_new(ctx, &known);
	/* Where we have called from differs. */
	real = stack_trace_save(frames, max, 0) - 1;
	handle = handle_of(frames + 1, real);
	stack = &stacks[handle - 1];
	if (known) {
		seen.known++;
		seen.wrong += known != handle;
	} else {
		seen.unwound++;
		seen.wrong += nr - 1 != real ||
			      memcmp(ctx->frames + 1, stack->frames, real * sizeof(*frames));
		ppo_stack_remember(ctx, handle);
	}
	seen.tempted += last_frame == frame && last_handle != handle;
	last_frame = frame;
	last_handle = handle;
	ppo_context_leave(ctx);
}

/* How often a loop goes round: else each call in it may get a return address of its own. */
#define NOT_UNROLLED(times)	OPTIMIZER_HIDE_VAR(times)

/* Of one frame size, all of them, so that they can stand in for one another */
#define CALLS(name, callee)				\
static noinline void name(unsigned int n)		\
{							\
	callee(n);					\
	/* Of two that are the same the compiler makes one. */	\
	asm volatile("# " #name);			\
}

static noinline void leaf(unsigned int n)
{
	look();
	barrier();
}

CALLS(left, leaf)
CALLS(right, leaf)

/* Two places, one stack pointer, and what is further out decides by which */
static noinline void either(unsigned int n)
{
	if (n & 1)
		left(n);
	else
		right(n);
	barrier();
}

CALLS(outer_1, either)
CALLS(outer_2, either)

static void places(unsigned int n)
{
	if (n & 2)
		outer_1(n);
	else
		outer_2(n);
}

/* A frame of which only the frame pointer tells where it ends */
static noinline void grows(unsigned int n, unsigned int size, void (*callee)(unsigned int n))
{
	char *room = __builtin_alloca(size);

	memset(room, 0, size);
	barrier_data(room);
	callee(n);
	barrier_data(room);
}

static noinline void grows_1(unsigned int n)
{
	grows(n, 16 * (n % 5), either);
	barrier();
}

/* What one frame has more the other has less: the same stack pointer in the end */
static noinline void grows_2(unsigned int n)
{
	grows(n, 64 - 16 * (n % 5), grows_1);
	barrier();
}

static void sizes(unsigned int n)
{
	if (n & 16)
		grows_1(n);
	else
		grows_2(n);
}

/* So deep, and as much less room as it takes: one stack pointer for many depths */
static noinline void deep(unsigned int n)
{
	if (n) {
		deep(n - 1);
		barrier();
	} else {
		look();
		barrier();
	}
}

static unsigned int deep_size;	/* bytes of its frame */

static void depths(unsigned int n)
{
	/* Even, as room is given in units of 16 bytes. */
	unsigned int depth = 2 * (n % 12);

	grows(depth, deep_size * (24 - depth), deep);
}

static noinline void measure_deep(void)
{
	unsigned long sp;

	deep(0);
	sp = last_frame;
	deep(2);
	deep_size = (sp - last_frame) / 2;
}

static unsigned int more_size;	/* bytes of the frames of more_1() and more_2() */

/* What is not written keeps what the frames of more_1() and more_2() were, in their places */
static noinline void grows_over(unsigned int n)
{
	char *room = __kstack_alloca(n & 1 ? 16 : 16 + more_size);

	barrier_data(room);
	leaf(n);
	barrier_data(room);
}

CALLS(more_2, grows_over)
CALLS(more_1, more_2)

static noinline void from_one_place(unsigned int n)
{
	void (*callee)(unsigned int n) = n & 1 ? more_1 : grows_over;

	OPTIMIZER_HIDE_VAR(callee);
	callee(n);
	barrier();
}

/* All return addresses where they were, and valid; one frame pointer tells that two are old */
static void leftovers(unsigned int n)
{
	unsigned int i, nr = 4;

	NOT_UNROLLED(nr);
	for (i = 0; i < nr; i++)
		from_one_place(n >> i);
}

static noinline void measure_more(void)
{
	unsigned long sp;

	more_size = 0;
	from_one_place(0);
	sp = last_frame;
	from_one_place(1);
	more_size = sp - last_frame;
}

static int nothing(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	return 0;
}

static struct kretprobe probe = { .handler = nothing };

/* A return address is put aside now and then: that stack is not remembered, the next is. */
static void tracers(unsigned int n)
{
	if (n % 16 == 0)
		disable_kretprobe(&probe);
	else if (n % 16 == 8)
		enable_kretprobe(&probe);
	places(n / 2);
}

static const struct kind {
	const char	*name;
	void		(*come)(unsigned int n);
	unsigned int	divisor;	/* of rounds */
} kinds[] = {
	{ "places", places, 1 },
	{ "sizes", sizes, 1 },
	{ "depths", depths, 1 },
	{ "leftovers", leftovers, 1 },
	{ "tracers", tracers, 64 },
};

/* @same: how often each comes before the next one, once at least */
static void come(const struct kind *kind, unsigned int rounds, unsigned int same)
{
	unsigned int i, j, n;

	NOT_UNROLLED(same);
	memset(&seen, 0, sizeof(seen));
	for (i = 0; i < rounds / kind->divisor; i++) {
		n = prandom_u32_state(&rnd);
		for (j = 0; j < same; j++)
			kind->come(n);
		cond_resched();
	}
	pr_info("%s, each %u times: unwound=%u known=%u tempted=%u wrong=%u stacks=%u\n",
		kind->name, same, seen.unwound, seen.known, seen.tempted, seen.wrong, nr_stacks);
}

/* Called by the syscall that loads us, as a function that stays: one of __init is not known. */
static int run(const char *text, const struct kernel_param *param)
{
	unsigned int rounds, wrong = 0, i;
	int ret = kstrtouint(text, 0, &rounds);

	if (ret)
		return ret;
	ret = ppo_context_init();
	if (ret)
		return ret;
	stacks = vcalloc(STACKS, sizeof(*stacks));
	if (!stacks) {
		ret = -ENOMEM;
		goto out_context;
	}
	probe.kp.addr = (kprobe_opcode_t *)either;
	ret = register_kretprobe(&probe);
	if (ret)
		goto out_stacks;
	disable_kretprobe(&probe);
	measure_deep();
	measure_more();
	prandom_seed_state(&rnd, 1);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		come(&kinds[i], rounds, 1);
		wrong += seen.wrong;
		come(&kinds[i], rounds, 4);
		wrong += seen.wrong;
	}
	ret = wrong ? -EILSEQ : -EAGAIN;
	unregister_kretprobe(&probe);
out_stacks:
	vfree(stacks);
out_context:
	ppo_context_exit();
	return ret;
}

static const struct kernel_param_ops run_ops = { .set = run };

module_param_cb(rounds, &run_ops, NULL, 0);
MODULE_PARM_DESC(rounds, "Run, with so many stacks of each kind");

MODULE_DESCRIPTION("Tries to have page_pin_owner's memo tell a wrong stack");
MODULE_LICENSE("GPL");
