// SPDX-License-Identifier: MIT
/*
 * CPU 1 calls a function on CPU 0, where it interrupts a task that stores 1, 2
 * and 3 to a word; the function says what it has found there.
 * -D INCREMENT: task and function add 1 to the word, with a load and a store.
 * -D INTERRUPTS_OFF: what the task does is in one piece.
 * -D NESTED: interrupts are on again only when both of two regions have ended.
 * -D PREEMPTION_OFF: which is not interrupts off.
 * -D ITSELF: CPU 0 makes the call itself, between its first two stores.
 */
#include <explore.h>
#include <outcome.h>
#include <kernel/smp.h>

static u32 word, seen;

static void add_one(void)
{
	u32 found = READ_ONCE(word);

	WRITE_ONCE(word, found + 1);
}

static void look(void *unused)
{
#ifdef INCREMENT
	add_one();
#else
	WRITE_ONCE(seen, READ_ONCE(word));
#endif
}

static struct call_single_data call = { .func = look };

static void call_first_cpu(void)
{
	smp_call_function_single_async(0, &call);
}

static void store_all(void)
{
#ifdef INCREMENT
	add_one();
#else
	WRITE_ONCE(word, 1);
#ifdef ITSELF
	call_first_cpu();
#endif
#ifdef NESTED
	u32 flags = local_irq_save();

	WRITE_ONCE(word, 2);
	local_irq_restore(flags);
#else
	WRITE_ONCE(word, 2);
#endif
	WRITE_ONCE(word, 3);
#endif
}

TASK(0, interrupted)
{
#if defined(INTERRUPTS_OFF) || defined(NESTED)
	u32 flags = local_irq_save();

	store_all();
	local_irq_restore(flags);
#elif defined(PREEMPTION_OFF)
	preempt_disable();
	store_all();
	preempt_enable();
#else
	store_all();
#endif
}

#ifndef ITSELF
TASK(1, caller)
{
	call_first_cpu();
}
#endif

FINAL_CHECK
{
#ifdef INCREMENT
	explore_outcome(word);
#else
	explore_outcome(seen);
#endif
}
