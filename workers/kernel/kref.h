/* SPDX-License-Identifier: MIT */
/* An object that is released with its last reference. */
#ifndef KERNEL_KREF_H
#define KERNEL_KREF_H

#include <kernel/refcount.h>

struct kref {
	refcount_t refcount;
};

#define KREF_INIT(n) { .refcount = REFCOUNT_INIT(n) }

static inline void kref_init(struct kref *kref)
{
	refcount_set(&kref->refcount, 1);
}

static inline u32 kref_read(const struct kref *kref)
{
	return refcount_read(&kref->refcount);
}

/* By who has a reference. */
static inline void kref_get(struct kref *kref)
{
	refcount_inc(&kref->refcount);
}

/* By who only sees the object, and knows that its memory is there: false if it is going. */
static inline bool kref_get_unless_zero(struct kref *kref)
{
	return refcount_inc_not_zero(&kref->refcount);
}

/* True if @release ran, by now: it was the last one. */
static inline bool kref_put(struct kref *kref, void (*release)(struct kref *kref))
{
	if (!refcount_dec_and_test(&kref->refcount))
		return false;
	release(kref);
	return true;
}

/* The last one goes under the lock that lookups hold; @release gives the lock back. */
static inline bool kref_put_mutex(struct kref *kref, void (*release)(struct kref *kref),
				  struct mutex *mutex)
{
	if (!refcount_dec_and_mutex_lock(&kref->refcount, mutex))
		return false;
	release(kref);
	return true;
}

static inline bool kref_put_lock(struct kref *kref, void (*release)(struct kref *kref),
				 spinlock_t *lock)
{
	if (!refcount_dec_and_lock(&kref->refcount, lock))
		return false;
	release(kref);
	return true;
}

#endif
