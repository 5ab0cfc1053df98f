// SPDX-License-Identifier: MIT
/*
 * A waiter queues, blocks, tests, sleeps; who makes the condition true writes it, then wakes. So
 * one of them sees the other: the waiter the condition, or who wakes the waiter.
 *
 * Source: Linux kernel/sched/wait.c (v6.12).
 */
#include <kernel/wait.h>

void init_waitqueue_head(struct wait_queue_head *queue)
{
	queue->lock.owner = 0;
	INIT_LIST_HEAD(&queue->head);
	machine_lock_made(&queue->lock.owner);
}

void init_waitqueue_entry(struct wait_queue_entry *entry, struct task_struct *task)
{
	entry->flags = 0;
	entry->func = default_wake_function;
	entry->task = task;
	INIT_LIST_HEAD(&entry->entry);
}

void init_wait(struct wait_queue_entry *entry)
{
	init_waitqueue_entry(entry, current);
	entry->func = autoremove_wake_function;
}

bool default_wake_function(struct wait_queue_entry *entry)
{
	return wake_up_process(entry->task);
}

bool autoremove_wake_function(struct wait_queue_entry *entry)
{
	if (!wake_up_process(entry->task))
		return false;
	list_del_init(&entry->entry);
	return true;
}

static void queue_entry(struct wait_queue_head *queue, struct wait_queue_entry *entry,
			bool exclusive)
{
	if (exclusive) {
		entry->flags |= WQ_FLAG_EXCLUSIVE;
		list_add_tail(&entry->entry, &queue->head);
	} else {
		entry->flags &= ~WQ_FLAG_EXCLUSIVE;
		list_add(&entry->entry, &queue->head);
	}
}

void add_wait_queue(struct wait_queue_head *queue, struct wait_queue_entry *entry)
{
	u32 flags = spin_lock_irqsave(&queue->lock);

	queue_entry(queue, entry, false);
	spin_unlock_irqrestore(&queue->lock, flags);
}

void add_wait_queue_exclusive(struct wait_queue_head *queue, struct wait_queue_entry *entry)
{
	u32 flags = spin_lock_irqsave(&queue->lock);

	queue_entry(queue, entry, true);
	spin_unlock_irqrestore(&queue->lock, flags);
}

void remove_wait_queue(struct wait_queue_head *queue, struct wait_queue_entry *entry)
{
	u32 flags = spin_lock_irqsave(&queue->lock);

	list_del_init(&entry->entry);
	spin_unlock_irqrestore(&queue->lock, flags);
}

static void prepare(struct wait_queue_head *queue, struct wait_queue_entry *entry, bool exclusive)
{
	u32 flags = spin_lock_irqsave(&queue->lock);

	if (list_empty(&entry->entry))
		queue_entry(queue, entry, exclusive);
	/* Queued and blocked before the condition is read; pairs with smp_mb() of who wakes. */
	set_current_blocked();
	spin_unlock_irqrestore(&queue->lock, flags);
}

void prepare_to_wait(struct wait_queue_head *queue, struct wait_queue_entry *entry)
{
	prepare(queue, entry, false);
}

void prepare_to_wait_exclusive(struct wait_queue_head *queue, struct wait_queue_entry *entry)
{
	prepare(queue, entry, true);
}

void finish_wait(struct wait_queue_head *queue, struct wait_queue_entry *entry)
{
	u32 flags;

	set_current_running();
	/* Who has woken it may still be at it: the entry may go when the lock has been had. */
	flags = spin_lock_irqsave(&queue->lock);
	list_del_init(&entry->entry);
	spin_unlock_irqrestore(&queue->lock, flags);
}

void wake_up_nr(struct wait_queue_head *queue, u32 exclusive)
{
	u32 flags = spin_lock_irqsave(&queue->lock);
	struct wait_queue_entry *entry, *next;

	list_for_each_entry_safe(entry, next, &queue->head, entry) {
		bool counts = entry->flags & WQ_FLAG_EXCLUSIVE;

		if (entry->func(entry) && counts && !--exclusive)
			break;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
}
