// SPDX-License-Identifier: MIT
/* What counts and locks check by themselves: references from nobody, writers without their lock. */
// expect: held
// expect -D FROM_NOBODY: violated refcount
// expect -D TO_NOBODY: violated refcount
// expect -D PREEMPTIBLE: violated bad-context
// expect -D NOT_HELD: violated bad-state
#include <explore.h>
#include <kernel/kref.h>
#include <kernel/rwsem.h>
#include <kernel/seqlock.h>

static DEFINE_SPINLOCK(lock);
static DEFINE_RWSEM(sem);
static seqcount_t plain = SEQCNT_ZERO(plain);
static seqcount_spinlock_t locked = SEQCNT_LOCK_ZERO(locked, &lock);
static struct kref kref = KREF_INIT(1);
static u32 released;

static void release(struct kref *gone)
{
	released++;
}

TASK(0, writer)
{
	spin_lock(&lock);
	assert_spin_locked(&lock);
	write_seqcount_begin(&locked);
	write_seqcount_end(&locked);
	spin_unlock(&lock);
#ifndef PREEMPTIBLE
	preempt_disable();
#endif
	write_seqcount_begin(&plain);
	write_seqcount_end(&plain);
#ifndef PREEMPTIBLE
	preempt_enable();
#endif
}

TASK(1, holder)
{
	kref_get(&kref);
	claim(!kref_put(&kref, release) && kref_put(&kref, release), released);
	claim(!kref_get_unless_zero(&kref) && released == 1, released);
#ifdef FROM_NOBODY
	kref_get(&kref);
#elif defined(TO_NOBODY)
	kref_put(&kref, release);
#endif
	down_write(&sem);
	rwsem_assert_held_write(&sem);
	downgrade_write(&sem);
	rwsem_assert_held(&sem);
	up_read(&sem);
#ifdef NOT_HELD
	rwsem_assert_held(&sem);
#endif
}
