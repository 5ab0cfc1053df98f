// SPDX-License-Identifier: MIT
/* A spinlock protects plain data, and one that interrupts take is taken with interrupts off. */
#include <explore.h>
#include <kernel/smp.h>
#include <kernel/spinlock.h>

static DEFINE_SPINLOCK(lock);
static u64 first, second;     /* the same, to whoever holds the lock */

static void add(void)
{
	first++;
	claim(first == second + 1, first, second);
	second++;
}

TASK(0, left)
{
	if (!spin_trylock(&lock))
		spin_lock(&lock);
	add();
	spin_unlock(&lock);
}

TASK(1, right)
{
	u32 flags = spin_lock_irqsave(&lock);

	add();
	spin_unlock_irqrestore(&lock, flags);
}

FINAL_CHECK
{
	claim(first == 2 && second == 2, first, second);
}
