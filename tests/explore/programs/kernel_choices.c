// SPDX-License-Identifier: MIT
/*
 * Choices of data in tasks and in an interrupt: CPU 1 calls a function on CPU 0 that
 * chooses one of two values, where the task there chooses before and after its store.
 * INIT and FINAL_CHECK choose, too, and always get 0.
 */
#include <explore.h>
#include <outcome.h>
#include <kernel/smp.h>

static u32 word, chosen[2], seen, found, initial;

static void look(void *unused)
{
	found = explore_choice(2);
	seen = READ_ONCE(word);
}

static struct call_single_data call = { .func = look };

INIT
{
	initial = explore_choice(5);
}

TASK(0, chooser)
{
	chosen[0] = explore_choice(3);
	WRITE_ONCE(word, 1);
	chosen[1] = explore_choice(2);
}

TASK(1, caller)
{
	smp_call_function_single_async(0, &call);
}

FINAL_CHECK
{
	explore_outcome((chosen[0] * 2 + chosen[1]) * 4 + found * 2 + seen);
	claim(!initial && !explore_choice(7), initial);
}
