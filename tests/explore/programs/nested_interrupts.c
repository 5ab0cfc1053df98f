// SPDX-License-Identifier: MIT
/*
 * Two CPUs each call a function on a third one. The first function stores 1, 2
 * and 0 to a word; the second one says what it has found there.
 * -D ENABLED: the first function has interrupts on while it does.
 */
#include <explore.h>
#include <outcome.h>
#include <kernel/smp.h>

EXPLORE_CPUS(3);

static u32 word, seen;

static void store_all(void *unused)
{
#ifdef ENABLED
	local_irq_enable();
#endif
	WRITE_ONCE(word, 1);
	WRITE_ONCE(word, 2);
	WRITE_ONCE(word, 0);
#ifdef ENABLED
	local_irq_disable();
#endif
}

static void look(void *unused)
{
	WRITE_ONCE(seen, READ_ONCE(word));
}

static struct call_single_data storing = { .func = store_all };
static struct call_single_data looking = { .func = look };

TASK(1, first)
{
	smp_call_function_single_async(0, &storing);
}

TASK(2, second)
{
	smp_call_function_single_async(0, &looking);
}

FINAL_CHECK
{
	explore_outcome(seen);
}
