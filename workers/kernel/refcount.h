/* SPDX-License-Identifier: MIT */
/*
 * Counts of references that never wrap. A count that somebody would take from 0, or below
 * it, is a finding, and stays at REFCOUNT_SATURATED: leaked rather than freed twice.
 *
 * Order, as in Linux: an increment orders nothing, since who makes it has a reference; the
 * last decrement comes after all that was done with the others, and before it is freed.
 */
#ifndef KERNEL_REFCOUNT_H
#define KERNEL_REFCOUNT_H

#include <kernel/mutex.h>
#include <kernel/spinlock.h>

typedef struct {
	s32 refs;             /* 0 = nobody has one; negative = saturated; atomic */
} refcount_t;

#define REFCOUNT_INIT(n) { .refs = (n) }
#define REFCOUNT_SATURATED (-0x40000000)

/* What was wrong: second value of FINDING_REFCOUNT. */
enum refcount_fault {
	REFCOUNT_ADD_FROM_ZERO,
	REFCOUNT_OVERFLOW,
	REFCOUNT_UNDERFLOW,
	REFCOUNT_DEC_TO_ZERO, /* by who did not want to know that it was the last */
};

static inline void refcount_set(refcount_t *r, s32 n)
{
	WRITE_ONCE(r->refs, n);
}

static inline s32 refcount_read(const refcount_t *r)
{
	return READ_ONCE(r->refs);
}

void refcount_add(s32 n, refcount_t *r);
bool refcount_add_not_zero(s32 n, refcount_t *r);
/* True if there are none left. */
bool refcount_sub_and_test(s32 n, refcount_t *r);
/* Some are left, as the caller knows. */
void refcount_dec(refcount_t *r);

static inline void refcount_inc(refcount_t *r)
{
	refcount_add(1, r);
}

static inline bool refcount_inc_not_zero(refcount_t *r)
{
	return refcount_add_not_zero(1, r);
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	return refcount_sub_and_test(1, r);
}

bool refcount_dec_if_one(refcount_t *r);
/* False if it was the last, which the caller still has. */
bool refcount_dec_not_one(refcount_t *r);

/* The last one is given up under @lock: true if it was, and @lock is held then. */
__passed_over bool refcount_dec_and_mutex_lock(refcount_t *r, struct mutex *lock);
__passed_over bool refcount_dec_and_lock(refcount_t *r, spinlock_t *lock);
__passed_over bool refcount_dec_and_lock_irqsave(refcount_t *r, spinlock_t *lock, u32 *flags);

#endif
