// SPDX-License-Identifier: MIT
/*
 * A sleeper and its waker: one of them sees what the other one has stored.
 *
 *	testbed explore stress/examples/kernel_store_buffering.c
 *	testbed explore stress/examples/kernel_store_buffering.c -D MISSING_SLEEPER
 *	testbed explore stress/examples/kernel_store_buffering.c -D MISSING_WAKER
 *
 * store_buffering.c in the kernel's vocabulary, and what it is there for: a
 * task says that it goes to sleep and looks at the condition a last time; the
 * other one makes the condition true and looks whether somebody sleeps. If
 * both miss, the task sleeps for ever (set_current_state() in the kernel has
 * the fence for this reason, and wake_up_process() the other one).
 *
 * TASK(cpu, name) is a task of that CPU; FINAL_CHECK runs when all have ended,
 * and the values after a claim's condition are shown in the report.
 */
#include <explore.h>

static u32 condition, sleeping;
static u32 condition_seen, sleeper_seen;

TASK(0, sleeper)
{
	WRITE_ONCE(sleeping, 1);
#ifndef MISSING_SLEEPER
	smp_mb(); /* sleeping before the look at condition; pairs with the waker's */
#endif
	condition_seen = READ_ONCE(condition);
}

TASK(1, waker)
{
	WRITE_ONCE(condition, 1);
#ifndef MISSING_WAKER
	smp_mb(); /* condition before the look at sleeping; pairs with the sleeper's */
#endif
	sleeper_seen = READ_ONCE(sleeping);
}

FINAL_CHECK
{
	claim(condition_seen || sleeper_seen, condition_seen, sleeper_seen);
}
