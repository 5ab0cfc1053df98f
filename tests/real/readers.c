// SPDX-License-Identifier: MIT
/* RCU readers that stay as long as they are told, and updaters that wait for them. */
#include <error.h>
#include <kernel/kthread.h>
#include <kernel/rcu.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <memory.h>

/* One reader per CPU: Python lets it in, sees it inside, and lets it out. */
struct reader {
	u32 enter;            /* Python writes 1 */
	u32 inside;           /* the reader writes */
	u32 leave;            /* Python writes 1 */
	u32 left;             /* the reader writes, before it unlocks */
};

struct reader readers[MAX_CPUS];

noinline void stay_inside(struct reader *reader)
{
	WRITE_ONCE(reader->inside, 1);
	while (!READ_ONCE(reader->leave))
		machine_relax_while(&reader->leave, 0);
	WRITE_ONCE(reader->left, 1);
}

s64 read_once_told(void *unused)
{
	struct reader *reader = &readers[smp_processor_id()];

	while (!READ_ONCE(reader->enter))
		cond_resched();
	rcu_read_lock();
	stay_inside(reader);
	rcu_read_unlock();
	return 0;
}

/* A region with interrupts off is a reader as well. */
s64 read_with_interrupts_off(void *unused)
{
	struct reader *reader = &readers[smp_processor_id()];

	local_irq_disable();
	stay_inside(reader);
	local_irq_enable();
	return 0;
}

/* And so is one with preemption off. */
s64 read_with_preemption_off(void *unused)
{
	struct reader *reader = &readers[smp_processor_id()];

	rcu_read_lock_sched();
	stay_inside(reader);
	rcu_read_unlock_sched();
	return 0;
}

/* Takes half of its CPU's time from whoever runs there. */
s64 compute(void *unused)
{
	while (!READ_ONCE(the_machine->stop))
		current->progress++;
	return 0;
}

u32 updated;                  /* 1 = synchronize_rcu() has returned */
u64 left_before;              /* mask of readers that had left by then */

static void note_update(void)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		left_before |= (u64)READ_ONCE(readers[cpu].left) << cpu;
	smp_store_release(&updated, 1);
}

s64 update(void *unused)
{
	synchronize_rcu();
	note_update();
	return 0;
}

s64 synchronize_often(u64 times)
{
	for (u64 n = 0; n < times; n++)
		synchronize_rcu();
	return 0;
}

/* Callbacks note the order in which they ran. */
#define CALLBACKS 512

struct called {
	struct rcu_head head;
	u32 number;
	u32 queue;            /* who queued it */
};

u32 callbacks_run;            /* the callback task adds */
u32 callback_disorder;        /* one ran before an earlier one of its queue */
static u32 last_of_queue[MAX_TASKS];

static void callback(struct rcu_head *head)
{
	struct called *called = container_of(head, struct called, head);

	if (called->number < last_of_queue[called->queue])
		callback_disorder++;
	last_of_queue[called->queue] = called->number;
	callbacks_run++;
	kfree(called);
}

static void queue_callback(u32 number)
{
	struct called *called = kmalloc(sizeof(*called), GFP_KERNEL);

	called->number = number;
	called->queue = current->index;
	call_rcu(&called->head, callback);
}

s64 queue_callbacks(void *count)
{
	for (u64 n = 0; n < (u64)count; n++)
		queue_callback(n + 1);
	return 0;
}

s64 queue_and_wait(u64 count)
{
	queue_callbacks((void *)count);
	rcu_barrier();
	return callbacks_run;
}

/* Readers follow a pointer that an updater replaces: none may see what was freed. */
struct element {
	u64 value;            /* ELEMENT_LIVE until it is freed */
};

#define ELEMENT_LIVE 0x11eeULL

static struct element *published;
u64 elements_read;            /* atomic */
u64 elements_dead;            /* readers that saw a freed one; atomic */
u32 skip_grace_period;        /* the broken twin; Python writes before */

s64 publish_first(void)
{
	struct element *element = kmalloc(sizeof(*element), GFP_KERNEL);

	element->value = ELEMENT_LIVE;
	rcu_assign_pointer(published, element);
	return 0;
}

s64 follow_pointer(void *unused)
{
	while (!READ_ONCE(the_machine->stop)) {
		rcu_read_lock();
		struct element *element = rcu_dereference(published);

		for (u32 n = 0; n < 50; n++)
			barrier();
		if (READ_ONCE(element->value) != ELEMENT_LIVE)
			atomic_inc(&elements_dead);
		rcu_read_unlock();
		atomic_inc(&elements_read);
		cond_resched();
	}
	return 0;
}

s64 replace_pointer(u64 times)
{
	for (u64 n = 0; n < times; n++) {
		struct element *old = published, *new = kmalloc(sizeof(*new), GFP_KERNEL);

		new->value = ELEMENT_LIVE;
		rcu_assign_pointer(published, new);
		if (!skip_grace_period)
			synchronize_rcu();
		kfree(old);
	}
	return elements_dead;
}

/* Memory: every CPU allocates, fills, checks and frees; some objects change hands. */
static void *handed[64];      /* xchg() */
u64 slab_rounds;              /* of each task; Python writes before */
u64 slab_mistakes;            /* bytes that were not as written; atomic */

static bool is_filled(const u8 *object, size_t size, u8 value)
{
	for (size_t n = 0; n < size; n++) {
		if (object[n] != value)
			return false;
	}
	return true;
}

s64 allocate_and_hand_over(void *seed)
{
	u64 random = (u64)seed * 2 + 1;

	for (u64 n = 0; n < slab_rounds; n++) {
		random = random * 6364136223846793005UL + 1442695040888963407UL;
		size_t size = (random >> 33) % 3000 + 1;
		u8 *object = kmalloc(size, GFP_KERNEL);

		if (!object)
			return -ENOMEM;
		fill_bytes(object, size & 0xff, size);
		object = xchg(&handed[random >> 58], object);
		if (!object)
			continue;
		size = ksize(object);
		if (!is_filled(object, size, size & 0xff))
			atomic_inc(&slab_mistakes);
		kfree(object);
		cond_resched();
	}
	return 0;
}

s64 free_what_was_handed(void)
{
	for (u32 n = 0; n < ARRAY_SIZE(handed); n++)
		kfree(xchg(&handed[n], NULL));
	return 0;
}
