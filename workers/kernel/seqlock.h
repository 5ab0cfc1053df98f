/* SPDX-License-Identifier: MIT */
/*
 * Sequence counts: a reader takes no lock; it reads again if a writer was there. What is
 * read so is read and written by marked accesses, READ_ONCE() and WRITE_ONCE().
 *
 * A writer has preemption off: a reader that came instead of it on its CPU would wait for
 * ever. If a lock belongs to the count (seqcount_LOCK_t), the writer holds it; if it is
 * one that may sleep, the count turns preemption off by itself. An interrupt that reads
 * needs writers with interrupts off.
 *
 * Source: include/linux/seqlock.h (v6.12).
 */
#ifndef KERNEL_SEQLOCK_H
#define KERNEL_SEQLOCK_H

#include <kernel/mutex.h>
#include <kernel/rwlock.h>
#include <kernel/spinlock.h>

typedef struct seqcount {
	u32 sequence;         /* odd = a writer is at work; it writes, readers compare */
} seqcount_t;

#define SEQCNT_ZERO(name) { .sequence = 0 }

#define DEFINE_SEQCOUNT_TYPE(name, lock_type) \
	typedef struct { \
		seqcount_t seqcount; \
		lock_type *lock; /* that its writers hold */ \
	} seqcount_##name##_t

DEFINE_SEQCOUNT_TYPE(spinlock, spinlock_t);
DEFINE_SEQCOUNT_TYPE(rwlock, rwlock_t);
DEFINE_SEQCOUNT_TYPE(mutex, struct mutex);

/* For the three of them. */
#define SEQCNT_LOCK_ZERO(name, assoc_lock) { .seqcount = SEQCNT_ZERO(), .lock = (assoc_lock) }

static inline void seqcount_init(seqcount_t *s)
{
	WRITE_ONCE(s->sequence, 0);
	machine_lock_made(&s->sequence);
}

#define seqcount_lock_init(s, assoc_lock) do { \
	seqcount_init(&(s)->seqcount); \
	(s)->lock = (assoc_lock); \
} while (0)

/* A writer is not where it may write; seqlock.c. */
void seqcount_assert_writer(const seqcount_t *s);
void seqcount_spinlock_assert_writer(const seqcount_spinlock_t *s);
void seqcount_rwlock_assert_writer(const seqcount_rwlock_t *s);
void seqcount_mutex_assert_writer(const seqcount_mutex_t *s);

/* The count of each type, and what its writers must hold. */
#define __seqcount_of(s) ((seqcount_t *)(u64)(s)) /* it is the first member */
#define __seqcount_assert(s) _Generic(*(s), \
	seqcount_t: seqcount_assert_writer, \
	seqcount_spinlock_t: seqcount_spinlock_assert_writer, \
	seqcount_rwlock_t: seqcount_rwlock_assert_writer, \
	seqcount_mutex_t: seqcount_mutex_assert_writer)(s)
#define __seqcount_preemptible(s) _Generic(*(s), seqcount_mutex_t: true, default: false)
/* The CPU that writes, as far as a lock tells; 0 = not known. */
#define __seqcount_writer(s) _Generic(*(s), \
	seqcount_spinlock_t: seqcount_spinlock_writer, \
	default: seqcount_no_writer)((const void *)(s))

static inline u32 seqcount_no_writer(const void *s)
{
	return 0;
}

static inline u32 seqcount_spinlock_writer(const void *s)
{
	return READ_ONCE(((const seqcount_spinlock_t *)s)->lock->owner);
}

/* It is odd: wait until it is even. @writer: CPU + 1; 0 = not known. */
__passed_over void seqcount_wait(const seqcount_t *s, u32 writer);

/* Told as a lock that it would have to wait for: an interrupt may have interrupted its writer. */
static inline void seqcount_reader_told(const seqcount_t *s)
{
	machine_lock_acquired(&s->sequence, LOCK_SHARED | LOCK_RECURSIVE);
	machine_lock_released(&s->sequence);
}

#define read_seqcount_begin(s) ({ \
	const seqcount_t *__s = __seqcount_of(s); \
	u32 __seen; \
	seqcount_reader_told(__s); \
	/* The count before what is read; pairs with write_seqcount_end(). */ \
	while (unlikely((__seen = smp_load_acquire(&__s->sequence)) & 1)) \
		seqcount_wait(__s, __seqcount_writer(s)); \
	__seen; })

/* Without waiting: odd has to be tried again, as is a count that has changed. */
#define raw_seqcount_begin(s) (smp_load_acquire(&__seqcount_of(s)->sequence) & ~1U)

static inline bool __read_seqcount_retry(const seqcount_t *s, u32 start)
{
	smp_rmb(); /* What was read before the count; pairs with write_seqcount_begin(). */
	return READ_ONCE(s->sequence) != start;
}

#define read_seqcount_retry(s, start) __read_seqcount_retry(__seqcount_of(s), start)

static inline void __write_seqcount_begin(seqcount_t *s)
{
	machine_lock_acquired(&s->sequence, 0);
	WRITE_ONCE(s->sequence, s->sequence + 1);
	smp_wmb(); /* Odd before what is written; pairs with __read_seqcount_retry(). */
}

static inline void __write_seqcount_end(seqcount_t *s)
{
	machine_lock_released(&s->sequence);
	/* What was written before even; pairs with read_seqcount_begin(). */
	smp_store_release(&s->sequence, s->sequence + 1);
	machine_wake(&s->sequence);
}

#define write_seqcount_begin(s) do { \
	__seqcount_assert(s); \
	if (__seqcount_preemptible(s)) \
		preempt_disable(); \
	__write_seqcount_begin(__seqcount_of(s)); \
} while (0)

#define write_seqcount_end(s) do { \
	__write_seqcount_end(__seqcount_of(s)); \
	if (__seqcount_preemptible(s)) \
		preempt_enable(); \
} while (0)

/* Readers that have begun try again; none waits. */
static inline void write_seqcount_invalidate(seqcount_t *s)
{
	smp_wmb(); /* What was written before the count. */
	WRITE_ONCE(s->sequence, s->sequence + 2);
}

/*
 * Two copies of the data: readers use the one that is not being written, element
 * (count & 1), so they never wait, not even in an interrupt or NMI that came into a writer.
 * Writers are one at a time: begin; write [0]; write_seqcount_latch(); write [1]; end.
 */
typedef struct {
	seqcount_t seqcount;  /* odd = readers use [1] */
} seqcount_latch_t;

#define SEQCNT_LATCH_ZERO(name) { .seqcount = SEQCNT_ZERO() }

static inline void seqcount_latch_init(seqcount_latch_t *s)
{
	seqcount_init(&s->seqcount);
}

static inline u32 read_seqcount_latch(const seqcount_latch_t *s)
{
	/* The count before the copy that it chooses; pairs with the writer's. */
	return smp_load_acquire(&s->seqcount.sequence);
}

static inline bool read_seqcount_latch_retry(const seqcount_latch_t *s, u32 start)
{
	return __read_seqcount_retry(&s->seqcount, start);
}

/* Readers go to the other copy; what was written comes before, what is written then after. */
static inline void write_seqcount_latch(seqcount_latch_t *s)
{
	smp_wmb(); /* The copy that readers are sent to before the count. */
	WRITE_ONCE(s->seqcount.sequence, s->seqcount.sequence + 1);
	smp_wmb(); /* The count before the copy that they have left. */
}

static inline void write_seqcount_latch_begin(seqcount_latch_t *s)
{
	write_seqcount_latch(s);
}

static inline void write_seqcount_latch_end(seqcount_latch_t *s)
{
	smp_wmb(); /* The second copy before what the writer does next. */
}

/* A count and the spinlock of its writers. */
typedef struct {
	seqcount_spinlock_t seqcount;
	spinlock_t lock;
} seqlock_t;

#define SEQLOCK_UNLOCKED(name) { .seqcount = SEQCNT_LOCK_ZERO((name).seqcount, &(name).lock) }
#define DEFINE_SEQLOCK(name) seqlock_t name = SEQLOCK_UNLOCKED(name)

void seqlock_init(seqlock_t *sl);

static inline u32 read_seqbegin(const seqlock_t *sl)
{
	return read_seqcount_begin(&sl->seqcount);
}

static inline bool read_seqretry(const seqlock_t *sl, u32 start)
{
	return read_seqcount_retry(&sl->seqcount, start);
}

__passed_over void write_seqlock(seqlock_t *sl);
void write_sequnlock(seqlock_t *sl);
__passed_over u32 write_seqlock_irqsave(seqlock_t *sl);
void write_sequnlock_irqrestore(seqlock_t *sl, u32 flags);

static inline void write_seqlock_bh(seqlock_t *sl)
{
	local_bh_disable();
	write_seqlock(sl);
}

static inline void write_sequnlock_bh(seqlock_t *sl)
{
	write_sequnlock(sl);
	local_bh_enable();
}

/* A reader that is alone with the others of its kind, and no writer. */
__passed_over void read_seqlock_excl(seqlock_t *sl);
void read_sequnlock_excl(seqlock_t *sl);

/* First without the lock (*seq even), then, if that was disturbed, with it (made odd). */
__passed_over void read_seqbegin_or_lock(seqlock_t *sl, u32 *seq);
bool need_seqretry(const seqlock_t *sl, u32 seq);
void done_seqretry(seqlock_t *sl, u32 seq);

#endif
