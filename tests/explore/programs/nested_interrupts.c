// SPDX-License-Identifier: MIT
/*
 * CPU 1 calls two functions on CPU 0. The first one stores 1, 2 and 0 to a word;
 * the second one says what it has found there.
 * -D ENABLED: the first function has interrupts on while it does.
 */
#include <explore.h>
#include <outcome.h>
#include <kernel/smp.h>

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

TASK(1, caller)
{
	smp_call_function_single_async(0, &storing);
	smp_call_function_single_async(0, &looking);
}

FINAL_CHECK
{
	explore_outcome(seen);
}
