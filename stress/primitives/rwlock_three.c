// SPDX-License-Identifier: MIT
/* Readers and writers of one spinning lock, with and without waiting: each gets its turn. */
#include <explore.h>
#include <kernel/rwlock.h>

static DEFINE_RWLOCK(lock);
static u64 first, second, writes;

static void add(void)
{
	first++;
	writes++;
	second++;
}

TASK(0, reader)
{
	u32 flags = read_lock_irqsave(&lock);

	claim(first == second, first, second);
	read_unlock_irqrestore(&lock, flags);
}

TASK(1, writer)
{
	write_lock(&lock);
	add();
	write_unlock(&lock);
}

TASK(2, both)
{
	u32 flags;

	if (read_trylock(&lock)) {
		claim(first == second, first, second);
		read_unlock(&lock);
	}
	flags = write_lock_irqsave(&lock);
	add();
	write_unlock_irqrestore(&lock, flags);
}

FINAL_CHECK
{
	claim(first == 2 && second == 2 && writes == 2, first, second);
}
