// SPDX-License-Identifier: MIT
/* Writers under a mutex, which may be preempted: but not while the count is odd. */
#include <explore.h>
#include <kernel/seqlock.h>

static DEFINE_MUTEX(mutex);
static seqcount_mutex_t version = SEQCNT_LOCK_ZERO(version, &mutex);
static u64 first, second;

TASK(0, writer)
{
	mutex_lock(&mutex);
	write_seqcount_begin(&version);
	WRITE_ONCE(first, 1);
	WRITE_ONCE(second, 1);
	write_seqcount_end(&version);
	mutex_unlock(&mutex);
}

static void look(void)
{
	u64 one, other;
	u32 start;

	do {
		start = read_seqcount_begin(&version);
		one = READ_ONCE(first);
		other = READ_ONCE(second);
	} while (read_seqcount_retry(&version, start));
	claim(one == other, one, other);
}

/* It comes when the writer is preempted, or has ended. */
TASK(0, behind)
{
	look();
}

TASK(1, reader)
{
	look();
}
