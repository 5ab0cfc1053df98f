// SPDX-License-Identifier: MIT
/* A spinning reader-writer lock: readers are together, a writer is alone. */
#include <explore.h>
#include <kernel/rwlock.h>

static DEFINE_RWLOCK(lock);
static u64 first, second;     /* the same, to whoever holds the lock */

TASK(0, reader)
{
	read_lock(&lock);
	claim(first == second, first, second);
	read_unlock(&lock);
}

TASK(1, writer)
{
	write_lock(&lock);
	first++;
	second++;
	write_unlock(&lock);
}

FINAL_CHECK
{
	claim(first == 1 && second == 1 && !rwlock_is_locked(&lock), first, second);
}
