// SPDX-License-Identifier: MIT
/*
 * A task and what interrupts it add to a word under a lock; interrupts are off while the
 * task has it.
 * -D IRQS_ON: the task leaves interrupts on.
 * -D BY_NMI: it is an NMI, which comes nevertheless.
 * -D TRIES: what interrupts takes the lock only if nobody has it.
 * -D ENDS_ON: the device's handler has interrupts on when it returns.
 */
#include <explore.h>
#include <kernel/spinlock.h>

static DEFINE_SPINLOCK(lock);
static u32 word, given_up;

static void add_in_interrupt(void)
{
#ifdef TRIES
	if (!spin_trylock(&lock)) {
		given_up++;
		return;
	}
	word++;
	spin_unlock(&lock);
#else
	spin_lock(&lock);
	word++;
	spin_unlock(&lock);
#endif
}

#ifdef BY_NMI
NMI(0, 1, interrupt)
#else
IRQ(0, 1, interrupt)
#endif
{
	add_in_interrupt();
#ifdef ENDS_ON
	local_irq_enable();
#endif
}

TASK(0, task)
{
#ifdef IRQS_ON
	spin_lock(&lock);
	word++;
	spin_unlock(&lock);
#else
	u32 flags = spin_lock_irqsave(&lock);

	word++;
	spin_unlock_irqrestore(&lock, flags);
#endif
}

FINAL_CHECK
{
	claim(word + given_up <= 2, word, given_up);
}
