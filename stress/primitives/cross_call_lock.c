// SPDX-License-Identifier: MIT
/* All CPUs are called by one that holds no lock that they may want with interrupts off. */
#include <explore.h>
#include <kernel/smp.h>
#include <kernel/spinlock.h>

static DEFINE_SPINLOCK(lock);
static u64 changes;

static void nothing(void *unused)
{
}

TASK(0, caller)
{
	spin_lock(&lock);
	changes++;
	spin_unlock(&lock);
	on_each_cpu(nothing, NULL, true);
}

TASK(1, other)
{
	u32 flags = spin_lock_irqsave(&lock);

	changes++;
	spin_unlock_irqrestore(&lock, flags);
}

FINAL_CHECK
{
	claim(changes == 2, changes);
}
