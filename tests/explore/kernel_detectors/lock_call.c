// SPDX-License-Identifier: MIT
/* A CPU is waited for under a lock that it may be waiting for itself, with interrupts off. */
// expect: held
// expect -D UNDER_THE_LOCK: violated call-under-lock
// expect -D IRQS_ON: held
// expect -D ANOTHER_LOCK: held
#include <explore.h>
#include <kernel/smp.h>
#include <kernel/spinlock.h>

static DEFINE_SPINLOCK(lock);
static DEFINE_SPINLOCK(other_lock);
static u32 turn;

static void nothing(void *unused)
{
}

TASK(0, caller)
{
	spin_lock(&lock);
#if defined(UNDER_THE_LOCK) || defined(IRQS_ON)
	smp_call_function_single(1, nothing, NULL, true);
	spin_unlock(&lock);
#elif defined(ANOTHER_LOCK)
	spin_unlock(&lock);
	spin_lock(&other_lock);
	smp_call_function_single(1, nothing, NULL, true);
	spin_unlock(&other_lock);
#else
	spin_unlock(&lock);
	smp_call_function_single(1, nothing, NULL, true);
#endif
	smp_store_release(&turn, 1);
	machine_wake(&turn);
}

TASK(1, called)
{
	/* After the call, so that no run comes to the deadlock. */
	while (!smp_load_acquire(&turn))
		machine_relax_while(&turn, 0);
#ifdef IRQS_ON
	spin_lock(&lock);
	spin_unlock(&lock);
#else
	u32 flags = spin_lock_irqsave(&lock);

	spin_unlock_irqrestore(&lock, flags);
#endif
}
