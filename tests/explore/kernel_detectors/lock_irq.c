// SPDX-License-Identifier: MIT
/*
 * A lock that interrupts take, held where they can come; by itself or by way of
 * another one. The interrupt has come and gone when it is held: nothing waits.
 */
// expect: held
// expect -D IRQS_ON: violated lock-in-interrupt
// expect -D IRQS_ON_BEFORE: violated lock-in-interrupt
// expect -D TURNED_ON_TOO_SOON: violated lock-in-interrupt
// expect -D BY_ANOTHER_LOCK: violated lock-in-interrupt
// expect -D BY_ANOTHER_LOCK_IRQS_OFF: held
// expect -D ANOTHER_CPU: held
// expect -D TRIED: held
#include <explore.h>
#include <kernel/smp.h>
#include <kernel/spinlock.h>

static DEFINE_SPINLOCK(lock);
static DEFINE_SPINLOCK(inner);

static void handler(void *unused)
{
#ifdef TRIED
	if (spin_trylock(&lock))
		spin_unlock(&lock);
#else
	spin_lock(&lock);
	spin_unlock(&lock);
#endif
}

static void hold(void)
{
	spin_lock(&lock);
	spin_unlock(&lock);
}

static void hold_irqs_off(void)
{
	u32 flags = spin_lock_irqsave(&lock);

	spin_unlock_irqrestore(&lock, flags);
}

TASK(0, caller)
{
#ifdef BY_ANOTHER_LOCK
	u32 flags = spin_lock_irqsave(&lock);

	spin_lock(&inner);
	spin_unlock(&inner);
	spin_unlock_irqrestore(&lock, flags);
#elif defined(ANOTHER_CPU)
	hold();
#else
	hold_irqs_off();
#endif
	smp_call_function_single(1, handler, NULL, true);
}

static u32 begun;

TASK(1, called)
{
#if defined(BY_ANOTHER_LOCK)
	spin_lock(&inner);
	spin_unlock(&inner);
#elif defined(BY_ANOTHER_LOCK_IRQS_OFF)
	u32 flags = spin_lock_irqsave(&inner);

	spin_unlock_irqrestore(&inner, flags);
#elif defined(IRQS_ON)
	hold();
#elif defined(IRQS_ON_BEFORE)
	preempt_disable();
	hold();
	preempt_enable();
#elif defined(TURNED_ON_TOO_SOON)
	u32 flags = spin_lock_irqsave(&lock);

	local_irq_restore(flags);
	spin_unlock(&lock);
#elif defined(TRIED)
	hold();
#else
	hold_irqs_off();
#endif
	WRITE_ONCE(begun, 1);
}
