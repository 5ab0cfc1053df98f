// SPDX-License-Identifier: MIT
/* What a device's interrupts leave in a queue, under a lock, a task takes out again. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/spinlock.h>

#define INTERRUPTS 2

static DEFINE_SPINLOCK(lock);
static DECLARE_COMPLETION(arrived);
static u32 queued, taken;

IRQ(0, INTERRUPTS, device)
{
	spin_lock(&lock);
	queued++;
	spin_unlock(&lock);
	complete(&arrived);
}

TASK(0, driver)
{
	for (u32 n = 0; n < INTERRUPTS; n++) {
		u32 flags;

		wait_for_completion(&arrived);
		flags = spin_lock_irqsave(&lock);
		claim(queued, queued, taken);
		queued--;
		taken++;
		spin_unlock_irqrestore(&lock, flags);
	}
}

FINAL_CHECK
{
	claim(!queued && taken == INTERRUPTS, queued, taken);
}
