// SPDX-License-Identifier: MIT
/* Counts of references: each operation that finds them wrong saturates, and says so. */
#include <finding.h>
#include <kernel/refcount.h>

static __passed_over void saturate(refcount_t *r, enum refcount_fault fault, s32 found)
{
	refcount_set(r, REFCOUNT_SATURATED);
	report_finding(FINDING_REFCOUNT, NULL, (u64)r, fault, (u32)found);
}

__passed_over void refcount_add(s32 n, refcount_t *r)
{
	s32 old = __atomic_fetch_add(&r->refs, n, __ATOMIC_RELAXED);

	if (unlikely(!old))
		saturate(r, REFCOUNT_ADD_FROM_ZERO, old);
	else if (unlikely(old < 0 || old + n < 0))
		saturate(r, REFCOUNT_OVERFLOW, old);
}

__passed_over bool refcount_add_not_zero(s32 n, refcount_t *r)
{
	s32 old = refcount_read(r);

	while (old) {
		s32 seen = cmpxchg(&r->refs, old, old + n);

		if (seen == old) {
			if (unlikely(old < 0 || old + n < 0))
				saturate(r, REFCOUNT_OVERFLOW, old);
			return true;
		}
		old = seen;
	}
	return false;
}

__passed_over bool refcount_sub_and_test(s32 n, refcount_t *r)
{
	/* All that others did with it before the last one is told; pairs with their own. */
	s32 old = atomic_fetch_add(-n, &r->refs);

	if (old > 0 && old == n)
		return true;
	if (unlikely(old <= 0 || old < n))
		saturate(r, REFCOUNT_UNDERFLOW, old);
	return false;
}

__passed_over void refcount_dec(refcount_t *r)
{
	s32 old = atomic_fetch_add(-1, &r->refs);

	if (unlikely(old <= 1))
		saturate(r, old == 1 ? REFCOUNT_DEC_TO_ZERO : REFCOUNT_UNDERFLOW, old);
}

bool refcount_dec_if_one(refcount_t *r)
{
	return cmpxchg(&r->refs, 1, 0) == 1;
}

__passed_over bool refcount_dec_not_one(refcount_t *r)
{
	s32 old = refcount_read(r);

	while (old != 1) {
		s32 seen;

		if (unlikely(old <= 0)) {
			saturate(r, REFCOUNT_UNDERFLOW, old);
			return true;
		}
		seen = cmpxchg(&r->refs, old, old - 1);
		if (seen == old)
			return true;
		old = seen;
	}
	return false;
}

bool refcount_dec_and_mutex_lock(refcount_t *r, struct mutex *lock)
{
	if (refcount_dec_not_one(r))
		return false;
	mutex_lock(lock);
	/* Somebody may have taken one under the lock. */
	if (refcount_dec_and_test(r))
		return true;
	mutex_unlock(lock);
	return false;
}

bool refcount_dec_and_lock(refcount_t *r, spinlock_t *lock)
{
	if (refcount_dec_not_one(r))
		return false;
	spin_lock(lock);
	if (refcount_dec_and_test(r))
		return true;
	spin_unlock(lock);
	return false;
}

bool refcount_dec_and_lock_irqsave(refcount_t *r, spinlock_t *lock, u32 *flags)
{
	if (refcount_dec_not_one(r))
		return false;
	*flags = spin_lock_irqsave(lock);
	if (refcount_dec_and_test(r))
		return true;
	spin_unlock_irqrestore(lock, *flags);
	return false;
}
