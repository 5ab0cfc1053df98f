// SPDX-License-Identifier: MIT
/*
 * A softirq runs after each time that it was raised: by a cross call, by an interrupt, with softirqs
 * off; not into itself, and with its lock held where softirqs are off.
 */
#include <explore.h>
#include <kernel/smp.h>
#include <kernel/softirq.h>
#include <kernel/spinlock.h>

static DEFINE_SPINLOCK(lock);
static u32 raised, seen, running;

static void raise_one(void *unused)
{
	atomic_inc(&raised);
	raise_softirq(TASKLET_SOFTIRQ);
}

static void action(void)
{
	claim(in_serving_softirq() && !irqs_disabled() && !running++, running, irqs_disabled());
	spin_lock(&lock);
	seen = READ_ONCE(raised);
	spin_unlock(&lock);
	running--;
}

INIT
{
	open_softirq(TASKLET_SOFTIRQ, action);
}

IRQ(1, 1, device) { raise_one(NULL); }

TASK(0, caller)
{
	smp_call_function_single(1, raise_one, NULL, false);
}

TASK(1, called)
{
	spin_lock_bh(&lock);
	raise_one(NULL);
	claim(seen < raised, seen, raised);
	spin_unlock_bh(&lock);
	raise_one(NULL);
}

FINAL_CHECK
{
	claim(seen == raised, seen, raised);
}
