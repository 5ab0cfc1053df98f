// SPDX-License-Identifier: MIT
/* One table of functions for each kind of lock, and one that locks nothing. */
#include "lock_torture.h"

#include <error.h>
#include <kernel/percpu_rwsem.h>
#include <kernel/rwlock.h>
#include <kernel/rwsem.h>
#include <kernel/seqlock.h>

static struct tortured {
	spinlock_t spin;
	rwlock_t rwlock;
	struct mutex mutex;
	struct rw_semaphore rwsem;
	struct percpu_rw_semaphore percpu_rwsem;
	seqlock_t seqlock;
} __cacheline_aligned locks[MAX_NESTED + 1];

s64 torture_locks_init(void)
{
	int error = 0;

	for (u32 n = 0; n <= TORTURED; n++) {
		spin_lock_init(&locks[n].spin);
		rwlock_init(&locks[n].rwlock);
		mutex_init(&locks[n].mutex);
		init_rwsem(&locks[n].rwsem);
		error = error ? error : percpu_init_rwsem(&locks[n].percpu_rwsem);
		seqlock_init(&locks[n].seqlock);
	}
	return error;
}

void torture_locks_free(void)
{
	for (u32 n = 0; n <= TORTURED; n++)
		percpu_free_rwsem(&locks[n].percpu_rwsem);
}

/* spin: interrupts take it, too. */
static u32 spin_write(u32 n)
{
	return spin_lock_irqsave(&locks[n].spin);
}

static bool spin_try_write(u32 n, u32 *flags)
{
	return spin_trylock_irqsave(&locks[n].spin, flags);
}

static void spin_write_done(u32 n, u32 flags)
{
	spin_unlock_irqrestore(&locks[n].spin, flags);
}

/* rwlock: interrupts read it, so only writers have them off. */
static u32 rwlock_write(u32 n)
{
	return write_lock_irqsave(&locks[n].rwlock);
}

static void rwlock_write_done(u32 n, u32 flags)
{
	write_unlock_irqrestore(&locks[n].rwlock, flags);
}

static void rwlock_read(u32 n)
{
	read_lock(&locks[n].rwlock);
}

static bool rwlock_try_read(u32 n)
{
	return read_trylock(&locks[n].rwlock);
}

static void rwlock_read_done(u32 n)
{
	read_unlock(&locks[n].rwlock);
}

static u32 mutex_write(u32 n)
{
	mutex_lock(&locks[n].mutex);
	return 0;
}

static bool mutex_try_write(u32 n, u32 *flags)
{
	return mutex_trylock(&locks[n].mutex);
}

static void mutex_write_done(u32 n, u32 flags)
{
	mutex_unlock(&locks[n].mutex);
}

static u32 rwsem_write(u32 n)
{
	down_write(&locks[n].rwsem);
	return 0;
}

static bool rwsem_try_write(u32 n, u32 *flags)
{
	return down_write_trylock(&locks[n].rwsem);
}

static void rwsem_write_done(u32 n, u32 flags)
{
	up_write(&locks[n].rwsem);
}

static void rwsem_read(u32 n)
{
	down_read(&locks[n].rwsem);
}

static bool rwsem_try_read(u32 n)
{
	return down_read_trylock(&locks[n].rwsem);
}

static void rwsem_read_done(u32 n)
{
	up_read(&locks[n].rwsem);
}

static void rwsem_downgrade(u32 n)
{
	downgrade_write(&locks[n].rwsem);
}

static u32 percpu_write(u32 n)
{
	percpu_down_write(&locks[n].percpu_rwsem);
	return 0;
}

static void percpu_write_done(u32 n, u32 flags)
{
	percpu_up_write(&locks[n].percpu_rwsem);
}

static void percpu_read(u32 n)
{
	percpu_down_read(&locks[n].percpu_rwsem);
}

static bool percpu_try_read(u32 n)
{
	return percpu_down_read_trylock(&locks[n].percpu_rwsem);
}

static void percpu_read_done(u32 n)
{
	percpu_up_read(&locks[n].percpu_rwsem);
}

/* seqlock: readers take nothing, and read again if a writer was there. */
static u32 seqlock_write(u32 n)
{
	return write_seqlock_irqsave(&locks[n].seqlock);
}

static void seqlock_write_done(u32 n, u32 flags)
{
	write_sequnlock_irqrestore(&locks[n].seqlock, flags);
}

static u32 seqlock_begin(u32 n)
{
	return read_seqbegin(&locks[n].seqlock);
}

static bool seqlock_retry(u32 n, u32 start)
{
	return read_seqretry(&locks[n].seqlock, start);
}

static u32 busted_write(u32 n)
{
	return 0;
}

static void busted_write_done(u32 n, u32 flags)
{
}

const struct lock_ops torture_locks[] = {
	{ .write = spin_write, .try_write = spin_try_write, .write_done = spin_write_done,
	  .interrupts = true },
	{ .write = rwlock_write, .write_done = rwlock_write_done, .read = rwlock_read,
	  .try_read = rwlock_try_read, .read_done = rwlock_read_done, .interrupts = true },
	{ .write = mutex_write, .try_write = mutex_try_write, .write_done = mutex_write_done },
	{ .write = rwsem_write, .try_write = rwsem_try_write, .write_done = rwsem_write_done,
	  .read = rwsem_read, .try_read = rwsem_try_read, .read_done = rwsem_read_done,
	  .downgrade = rwsem_downgrade },
	{ .write = percpu_write, .write_done = percpu_write_done, .read = percpu_read,
	  .try_read = percpu_try_read, .read_done = percpu_read_done },
	{ .write = seqlock_write, .write_done = seqlock_write_done, .begin = seqlock_begin,
	  .retry = seqlock_retry, .interrupts = true },
	{ .write = busted_write, .write_done = busted_write_done },
};
