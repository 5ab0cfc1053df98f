// SPDX-License-Identifier: MIT
/* A device reads under a lock that it may have interrupted the reading of. */
#include <explore.h>
#include <kernel/rwlock.h>

static DEFINE_RWLOCK(lock);
static u64 first, second;

static void look(void)
{
	read_lock(&lock);
	claim(first == second, first, second);
	read_unlock(&lock);
}

IRQ(0, 1, device)
{
	look();
}

TASK(0, reader)
{
	look();
}

TASK(1, writer)
{
	u32 flags = write_lock_irqsave(&lock);

	first++;
	second++;
	write_unlock_irqrestore(&lock, flags);
}
