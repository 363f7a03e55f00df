// SPDX-License-Identifier: GPL-2.0
/*
 * This CPU's scratch, the stack that led here, and the proof that it is the one of
 * the last time.
 *
 * Unwinding is nine tenths of what it takes to record a put, and most puts come
 * in loops: exit, munmap, truncation and unpinning let go of hundreds of pages
 * from the same place. So what has led from frame to frame of the last stack is
 * remembered, word by word. When ppo_stack_new() is entered with the same stack
 * pointer, and each of these words is in its place still, then unwinding would
 * find the same stack again. By induction:
 *
 * - ppo_stack_new() has a frame of fixed size: its return address lies where it
 *   lay, which is the first of the places.
 * - A return address says which instruction is next, and this one's ORC entry how
 *   large its frame is and so where the next return address lies, if it tells of
 *   the frame by the stack pointer.
 * - If it does by the frame pointer (alloca(), as do_syscall_64() has for its random
 *   offset), an inner function has saved that; where it has is remembered too. To
 *   see which of both it is, the frame pointer is taken away before each step.
 * - The last frame lies at the end of the stack, or as deep as is unwound.
 *
 * What cannot be proven so is not remembered, and unwound as ever: frames found by
 * saved registers or on another stack than the task's; those in whose place a tracer
 * has put something else; and those in text that can go away and another's come in
 * its place: a module's or a trampoline's. Our own stays as long as this does.
 */
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/stacktrace.h>
#ifdef CONFIG_X86_64
#include <asm/unwind.h>
#endif

#include "bindings_helper.h"

#define PPO_CONTEXTS	4	/* task, softirq, hardirq, NMI */

/* Of the stack: return addresses, and some frame pointers */
#define PPO_MEMO_WORDS(depth)	((depth) + PPO_STACK_SLACK + 4)

struct ppo_word {
	unsigned long	*place;
	unsigned long	value;
};

struct ppo_memo {
	unsigned long	sp;	/* in ppo_stack_new() */
	u32		handle;	/* 0: none */
	unsigned int	nr;
	struct ppo_word	*word;
};

struct ppo_contexts {
	struct ppo_context level[PPO_CONTEXTS];
	struct ppo_memo	memo;
	struct ppo_word	words[];	/* of the memo; behind them the levels' frames */
};

static struct ppo_contexts __percpu *contexts;

#if defined(CONFIG_X86_64) && defined(CONFIG_UNWINDER_ORC)

/* KASAN has no say in what the frames of others look like. */
static __always_inline bool memo_holds(const struct ppo_memo *memo, unsigned long sp)
{
	unsigned int i;

	if (memo->sp != sp || !memo->handle)
		return false;
	for (i = 0; i < memo->nr; i++)
		if (READ_ONCE_NOCHECK(*memo->word[i].place) != memo->word[i].value)
			return false;
	return true;
}

static bool text_stays(unsigned long address)
{
	return address < MODULES_VADDR || within_module_core(address, THIS_MODULE);
}

/* No register and no word of a stack holds this address. */
static const char nowhere;

/* What is to be remembered of a word of the stack; false if there is no room. */
static bool memo_add(struct ppo_memo *memo, unsigned long *place)
{
	if (memo->nr == PPO_MEMO_WORDS(ppo_stack_depth))
		return false;
	memo->word[memo->nr].place = place;
	memo->word[memo->nr++].value = READ_ONCE_NOCHECK(*place);
	return true;
}

/* Where between @from and @to a function has saved @bp: each place that it may be. */
static bool memo_add_bp(struct ppo_memo *memo, unsigned long *from, unsigned long *to,
			unsigned long bp)
{
	unsigned int nr = memo->nr;

	for (; from < to; from++)
		if (READ_ONCE_NOCHECK(*from) == bp && !memo_add(memo, from))
			return false;
	return memo->nr > nr;
}

/*
 * Unwind from the caller of the function in whose frame @sp lies, and remember
 * what led from frame to frame. Their number, 0 if it cannot be done so.
 */
static unsigned int memo_take(struct ppo_memo *memo, unsigned long sp,
			      unsigned long *frames, unsigned int max)
{
	unsigned long end = (unsigned long)task_pt_regs(current);
	unsigned long *saved_from = NULL, *saved_to = NULL;
	struct unwind_state state, before;
	unsigned long bp = 0;
	unsigned int nr = 0;

	memo->handle = 0;
	memo->nr = 0;
	__unwind_start(&state, current, NULL, (unsigned long *)sp);
	if (unwind_error(&state))
		return 0;
	/* What goes wrong here is no fault of the kernel's, to be told of in its log. */
	state.error = true;
	for (;;) {
		unsigned long *place = (unsigned long *)state.sp - 1;

		if (state.stack_info.type != STACK_TYPE_TASK || state.regs ||
		    READ_ONCE_NOCHECK(*place) != state.ip || !text_stays(state.ip) ||
		    !memo_add(memo, place))
			return 0;
		frames[nr++] = state.ip;
		if (nr == max || state.sp == end)
			break;

		before = state;
		state.bp = (unsigned long)&nowhere;
		if (unwind_next_frame(&state)) {
			if (state.bp != (unsigned long)&nowhere) {
				bp = state.bp;
				saved_from = (unsigned long *)before.sp;
				saved_to = (unsigned long *)state.sp;
			}
			continue;
		}
		/* The frame pointer tells of this one, as an inner frame has saved it. */
		if (!saved_from || !memo_add_bp(memo, saved_from, saved_to, bp))
			return 0;
		state = before;
		state.bp = bp;
		if (!unwind_next_frame(&state))
			return 0;
		saved_from = NULL;
	}
	memo->sp = sp;
	return nr;
}

#else /* no ORC: nothing is known of how large a frame is */

static bool memo_holds(const struct ppo_memo *memo, unsigned long sp)
{
	return false;
}

static unsigned int memo_take(struct ppo_memo *memo, unsigned long sp,
			      unsigned long *frames, unsigned int max)
{
	return 0;
}

#endif

int ppo_context_init(void)
{
	size_t depth = ppo_stack_depth + PPO_STACK_SLACK;
	size_t words = PPO_MEMO_WORDS(ppo_stack_depth);
	struct ppo_contexts *c;
	unsigned long *frames;
	int cpu, i;

	contexts = __alloc_percpu(struct_size(c, words, words) +
				  PPO_CONTEXTS * depth * sizeof(*frames),
				  __alignof__(*contexts));
	if (!contexts)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		c = per_cpu_ptr(contexts, cpu);
		c->memo.word = c->words;
		/* The other levels' stacks begin anywhere. */
		c->level[0].memo = &c->memo;
		frames = (unsigned long *)(c->words + words);
		for (i = 0; i < PPO_CONTEXTS; i++)
			c->level[i].frames = frames + i * depth;
	}
	return 0;
}

void ppo_context_exit(void)
{
	free_percpu(contexts);
}

/*
 * This CPU's scratch at this context level, preemption off until _leave().
 * NULL when the level is already in use; *quiet then tells if that was meant.
 */
struct ppo_context *ppo_context_enter(bool *quiet)
{
	struct ppo_context *ctx;

	preempt_disable_notrace();
	ctx = &this_cpu_ptr(contexts)->level[interrupt_context_level()];
	if (ctx->busy) {
		*quiet = ctx->quiet;
		preempt_enable_notrace();
		return NULL;
	}
	ctx->busy = true;
	barrier();
	return ctx;
}

void ppo_context_leave(struct ppo_context *ctx)
{
	barrier();
	ctx->busy = false;
	preempt_enable_notrace();
}

bool ppo_in_task(void)
{
	return !interrupt_context_level();
}

/* The stack from our caller on, cut where an interrupt came in. */
unsigned int ppo_stack_here(unsigned long *frames)
{
	unsigned int nr = stack_trace_save(frames,
					   ppo_stack_depth + PPO_STACK_SLACK, 1);

	return filter_irq_stacks(frames, nr);
}

/*
 * As ppo_stack_here(), into the frames of @ctx, unless that is the stack which was
 * remembered last: then its handle, and no frame.
 */
noinline unsigned int ppo_stack_new(struct ppo_context *ctx, u32 *known)
{
	unsigned int max = ppo_stack_depth + PPO_STACK_SLACK, nr = 0;
	unsigned long sp = current_stack_pointer;
	struct ppo_memo *memo = ctx->memo;

	if (memo) {
		if (memo_holds(memo, sp)) {
			*known = memo->handle;
			return 0;
		}
		nr = memo_take(memo, sp, ctx->frames, max);
	}
	if (!nr)
		nr = stack_trace_save(ctx->frames, max, 1);
	return filter_irq_stacks(ctx->frames, nr);
}

/* The stack that ppo_stack_new() has just given has this handle. */
void ppo_stack_remember(struct ppo_context *ctx, u32 handle)
{
	if (ctx->memo && ctx->memo->nr)
		ctx->memo->handle = handle;
}
