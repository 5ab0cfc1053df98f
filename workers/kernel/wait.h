/* SPDX-License-Identifier: MIT */
/* Wait queues: sleep until a condition holds, which whoever makes it true says by a wake-up. */
#ifndef KERNEL_WAIT_H
#define KERNEL_WAIT_H

#include <kernel/spinlock.h>
#include <kernel/timer.h>

#define WQ_FLAG_EXCLUSIVE 0x1 /* a wake-up of one wakes no other such waiter */

struct wait_queue_entry {
	u32 flags;            /* WQ_FLAG_*; the waiter writes before it queues */
	/* True = it was woken, and counts if it is exclusive. Under the queue's lock. */
	bool (*func)(struct wait_queue_entry *entry);
	struct task_struct *task;
	struct list_head entry; /* empty = not queued; under the queue's lock */
};

struct wait_queue_head {
	spinlock_t lock;      /* interrupts off */
	struct list_head head; /* struct wait_queue_entry; exclusive ones last */
};

typedef struct wait_queue_head wait_queue_head_t;

#define WAIT_QUEUE_HEAD_INIT(name) { .head = LIST_HEAD_INIT((name).head) }
#define DECLARE_WAIT_QUEUE_HEAD(name) struct wait_queue_head name = WAIT_QUEUE_HEAD_INIT(name)

void init_waitqueue_head(struct wait_queue_head *queue);

/* A waiter that a wake-up takes off the queue; and one that stays on it. */
void init_wait(struct wait_queue_entry *entry);
void init_waitqueue_entry(struct wait_queue_entry *entry, struct task_struct *task);
bool autoremove_wake_function(struct wait_queue_entry *entry);
bool default_wake_function(struct wait_queue_entry *entry);

#define DEFINE_WAIT(name) \
	struct wait_queue_entry name = { \
		.func = autoremove_wake_function, .task = current, \
		.entry = LIST_HEAD_INIT((name).entry), \
	}

void add_wait_queue(struct wait_queue_head *queue, struct wait_queue_entry *entry);
void add_wait_queue_exclusive(struct wait_queue_head *queue, struct wait_queue_entry *entry);
void remove_wait_queue(struct wait_queue_head *queue, struct wait_queue_entry *entry);

/*
 * Queue @entry unless it is, and say that this task blocks: then test the condition, then
 * schedule(), and again; finish_wait() when it holds.
 */
void prepare_to_wait(struct wait_queue_head *queue, struct wait_queue_entry *entry);
void prepare_to_wait_exclusive(struct wait_queue_head *queue, struct wait_queue_entry *entry);
void finish_wait(struct wait_queue_head *queue, struct wait_queue_entry *entry);

/*
 * Wake all waiters but the exclusive ones, and of those @exclusive, 0 = all. What the caller wrote
 * before is seen by whoever tests its condition afterwards. Any context but an NMI.
 */
void wake_up_nr(struct wait_queue_head *queue, u32 exclusive);

static inline void wake_up(struct wait_queue_head *queue)
{
	wake_up_nr(queue, 1);
}

static inline void wake_up_all(struct wait_queue_head *queue)
{
	wake_up_nr(queue, 0);
}

/*
 * Somebody is queued. Without a lock: who has written the condition and then skips the wake-up
 * needs smp_mb() in between; pairs with set_current_blocked() in prepare_to_wait().
 */
static inline bool waitqueue_active(const struct wait_queue_head *queue)
{
	return !list_empty(&queue->head);
}

#define ___wait_event(queue, condition, exclusive, kind, timeout) ({ \
	u64 __left = (timeout); \
	DEFINE_WAIT(__entry); \
	might_sleep(); \
	for (;;) { \
		struct wait_note __before; \
		if (exclusive) \
			prepare_to_wait_exclusive(&(queue), &__entry); \
		else \
			prepare_to_wait(&(queue), &__entry); \
		if (condition) { \
			__left = __left ?: 1; \
			break; \
		} \
		if (!__left) \
			break; \
		__before = wait_begin(kind, &(queue), 0); \
		__left = schedule_timeout(__left); \
		wait_end(__before); \
	} \
	finish_wait(&(queue), &__entry); \
	__left; })

/* Return when @condition holds, which is tested whenever somebody says wake_up(&queue). */
#define wait_event(queue, condition) do { \
	if (!(condition)) \
		(void)___wait_event(queue, condition, false, WAIT_QUEUE, MAX_SCHEDULE_TIMEOUT); \
} while (0)

/*
 * The same, one of those that wake_up() wakes one of. That may be one whose condition holds
 * already: who takes something wakes the next one, if there is more.
 */
#define wait_event_exclusive(queue, condition) do { \
	if (!(condition)) \
		(void)___wait_event(queue, condition, true, WAIT_QUEUE, MAX_SCHEDULE_TIMEOUT); \
} while (0)

/* The same of a kernel thread that has nothing to do: never a hang. */
#define wait_event_idle(queue, condition) do { \
	if (!(condition)) \
		(void)___wait_event(queue, condition, false, WAIT_WORK, MAX_SCHEDULE_TIMEOUT); \
} while (0)

/* At most @timeout ticks; what was left of them, at least 1, or 0 = @condition does not hold. */
#define wait_event_timeout(queue, condition, timeout) ({ \
	u64 __ticks = (timeout); \
	if (condition) \
		__ticks = __ticks ?: 1; \
	else \
		__ticks = ___wait_event(queue, condition, false, WAIT_QUEUE, __ticks); \
	__ticks; })

#endif
