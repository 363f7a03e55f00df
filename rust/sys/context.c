// SPDX-License-Identifier: GPL-2.0
/*
 * This CPU's scratch, the stack that led here, and the proof that it is the one of
 * the last time.
 *
 * Unwinding is nine tenths of what it takes to record a put, and most puts come
 * in loops: exit, munmap, truncation and unpinning let go of hundreds of pages
 * from the same place. So what has led from frame to frame of the last stack is
 * remembered, word by word. When ppo_stack_new() has its frame in the same place,
 * and each of these words is in its place still, then unwinding would find the same
 * stack again. By induction:
 *
 * - ppo_stack_new() has a frame pointer: its return address lies behind where that
 *   points to, which is the first of the places.
 * - A return address says which instruction is next, and this one's ORC entry how
 *   large its frame is and so where the next return address lies, if it tells of
 *   the frame by the stack pointer.
 * - If it does by the frame pointer (alloca(), as do_syscall_64() has for its random
 *   offset), an inner function has saved that, ppo_stack_new() if no other; where it
 *   has is remembered too. To see which of both it is, the frame pointer is taken
 *   away before each step.
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
	unsigned long	*frame;	/* ppo_stack_new()'s; NULL: of no stack */
	u32		handle;	/* 0: none */
	unsigned int	nr;
	struct ppo_word	*word;
};

struct ppo_contexts {
	struct ppo_context level[PPO_CONTEXTS];
	char		name[PPO_CONTEXTS][KSYM_SYMBOL_LEN];
	struct ppo_memo	memo;
	struct ppo_word	words[];	/* of the memo; behind them the levels' frames */
};

static struct ppo_contexts __percpu *contexts;

#if defined(CONFIG_X86_64) && defined(CONFIG_UNWINDER_ORC)
#define PPO_MEMO	1

/* KASAN has no say in what the frames of others look like. */
static __always_inline bool memo_holds(const struct ppo_memo *memo, const unsigned long *frame)
{
	unsigned int i;

	if (memo->frame != frame || !memo->handle)
		return false;
	for (i = 0; i < memo->nr; i++)
		if (READ_ONCE_NOCHECK(*memo->word[i].place) != memo->word[i].value)
			return false;
	return true;
}

static bool text_stays(unsigned long address)
{
	return (address >= __START_KERNEL_map && address < MODULES_VADDR) ||
	       within_module_core(address, THIS_MODULE);
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

/* The part of the stack in which the present frame pointer was saved */
struct ppo_saved {
	unsigned long	*from;
	unsigned long	*to;
};

/* Each word that may be the one which was saved; false if there is none. */
static bool memo_add_bp(struct ppo_memo *memo, const struct ppo_saved *saved, unsigned long bp)
{
	unsigned int nr = memo->nr;
	unsigned long *place;

	for (place = saved->from; place < saved->to; place++)
		if (READ_ONCE_NOCHECK(*place) == bp && !memo_add(memo, place))
			return false;
	return memo->nr > nr;
}

/* The return address that the unwinder is at is the one in its place on the task's stack. */
static bool memo_add_frame(struct ppo_memo *memo, const struct unwind_state *state)
{
	unsigned long *place = (unsigned long *)state->sp - 1;

	return state->stack_info.type == STACK_TYPE_TASK && !state->regs &&
	       READ_ONCE_NOCHECK(*place) == state->ip && text_stays(state->ip) &&
	       memo_add(memo, place);
}

/* To the next frame; false if what leads there is no proof. */
static bool memo_step(struct ppo_memo *memo, struct unwind_state *state, struct ppo_saved *saved)
{
	const struct unwind_state before = *state;
	bool proven = true;

	/* What fails for want of it is not the kernel's fault, nor to be told of in its log. */
	state->bp = (unsigned long)&nowhere;
	state->error = true;
	if (!unwind_next_frame(state)) {
		*state = before;
		proven = memo_add_bp(memo, saved, before.bp);
		unwind_next_frame(state);
	} else {
		state->error = before.error;
		if (state->bp == (unsigned long)&nowhere) {
			state->bp = before.bp;
			return true;
		}
	}
	saved->to = (unsigned long *)state->sp;
	if (state->bp != before.bp)
		saved->from = (unsigned long *)before.sp;
	return proven;
}

/*
 * Unwind as stack_trace_save() does, from the caller of the function whose frame pointer
 * is @frame, and remember what leads from frame to frame: nothing, unless all of it is
 * proof.
 */
static unsigned int memo_take(struct ppo_memo *memo, unsigned long *frame,
			      unsigned long *frames, unsigned int max)
{
	unsigned long end = (unsigned long)task_pt_regs(current), address;
	struct ppo_saved saved = { .from = frame, .to = frame + 1 };
	struct unwind_state state;
	bool proven = true;
	unsigned int nr = 0;

	memo->frame = NULL;
	memo->handle = 0;
	memo->nr = 0;
	for (unwind_start(&state, current, NULL, frame); !unwind_done(&state);) {
		address = unwind_get_return_address(&state);
		if (!address)
			break;
		frames[nr++] = address;
		proven = proven && memo_add_frame(memo, &state);
		if (nr == max || (proven && state.sp == end)) {
			if (proven)
				memo->frame = frame;
			break;
		}
		if (proven)
			proven = memo_step(memo, &state, &saved);
		else
			unwind_next_frame(&state);
	}
	return nr;
}

#else /* no ORC: nothing is known of how large a frame is */
#define PPO_MEMO	0

static bool memo_holds(const struct ppo_memo *memo, const unsigned long *frame)
{
	return false;
}

static unsigned int memo_take(struct ppo_memo *memo, unsigned long *frame,
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
		if (PPO_MEMO)
			c->level[0].memo = &c->memo;
		frames = (unsigned long *)(c->words + words);
		for (i = 0; i < PPO_CONTEXTS; i++) {
			c->level[i].frames = frames + i * depth;
			c->level[i].name = c->name[i];
		}
	}
	return 0;
}

void ppo_context_exit(void)
{
	free_percpu(contexts);
}

/*
 * This CPU's scratch at this context level, preemption off until _leave().
 * NULL when the level is already in use.
 */
struct ppo_context *ppo_context_enter(void)
{
	struct ppo_context *ctx;

	preempt_disable_notrace();
	ctx = &this_cpu_ptr(contexts)->level[interrupt_context_level()];
	if (ctx->busy) {
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
	unsigned int max = ppo_stack_depth + PPO_STACK_SLACK, nr;
	unsigned long *frame = __builtin_frame_address(0);
	struct ppo_memo *memo = ctx->memo;

	if (memo && memo_holds(memo, frame)) {
		*known = memo->handle;
		return 0;
	}
	nr = memo ? memo_take(memo, frame, ctx->frames, max) :
		    stack_trace_save(ctx->frames, max, 1);
	return filter_irq_stacks(ctx->frames, nr);
}

/* The stack that ppo_stack_new() has just given has this handle for ever; 0: none. */
void ppo_stack_remember(struct ppo_context *ctx, u32 handle)
{
	if (ctx->memo && ctx->memo->frame)
		ctx->memo->handle = handle;
}

/*
 * The function that has the return address @addr: its name goes to ctx->name, where
 * it starts to @start. How long it is; 0 if there is none. Context: any.
 */
unsigned long ppo_function_of(struct ppo_context *ctx, u64 addr, u64 *start)
{
	unsigned long offset, size;
	char *rest;

	/* A call that never returns may be the last thing in a function. */
	sprint_symbol(ctx->name, addr - 1);
	rest = strchr(ctx->name, '+');
	if (!rest || sscanf(rest, "+%li/%li", &offset, &size) != 2)
		return 0;
	*rest = '\0';
	*start = addr - 1 - offset;
	return size;
}
