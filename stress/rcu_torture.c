// SPDX-License-Identifier: MIT
/* Readers and writers of rcu_torture. */
#include <kernel/irq.h>
#include <kernel/kthread.h>
#include <kernel/rcu_tasks.h>
#include <tasks/random.h>

#include "rcu_torture.h"

#define LONG_READS 20 /* one reader in so many takes its time */
#define LONG_FACTOR 20

void torture_spin(struct torture_task *task, u32 cycles)
{
	u64 start = machine_cycles(), length = random_below(&task->random, cycles + 1);

	while (machine_cycles() - start < length)
		barrier();
}

static bool is_paused(const struct torture *torture)
{
	return READ_ONCE(torture->paused) ||
	       READ_ONCE(torture->left_alone) == (s32)smp_processor_id();
}

bool torture_goes_on(struct torture_task *task)
{
	current->progress++;
	/* By itself: where nobody says that he reads, this is where he does not. */
	cond_resched_tasks_rcu_qs();
	cond_park();
	while (unlikely(is_paused(task->torture)) && !READ_ONCE(the_machine->stop))
		torture_sleep(1000);
	return !READ_ONCE(the_machine->stop);
}

struct torture_element *torture_read(struct torture_task *task)
{
	struct torture_element *element = rcu_dereference(task->torture->newest);

	if (element && !READ_ONCE(element->alive))
		report_finding(FINDING_OLD_ELEMENT, &element->aged, (u64)element,
			       READ_ONCE(element->pipe) - 1);
	return element;
}

u64 torture_ended(const struct torture *torture)
{
	const struct torture_flavour *flavour = torture_flavour(torture);

	return flavour->sequence ? flavour->sequence() : 0;
}

void torture_judge(struct torture_task *task, const struct torture_element *element, u64 began)
{
	u32 pipe = READ_ONCE(element->pipe);
	u64 batch = torture_ended(task->torture) - began;

	if (pipe > 1)
		report_finding(FINDING_OLD_ELEMENT, &element->aged, (u64)element, pipe - 1);
	task->pipe[pipe]++;
	task->batch[batch < BATCHES ? batch : BATCHES - 1]++;
}

/* Segments of which one at least keeps the section a reader. */
static u32 any_segments(struct torture_task *task)
{
	const struct torture_flavour *flavour = torture_flavour(task->torture);
	u32 segments;

	do {
		segments = random_below(&task->random, 1u << SEGMENTS) | flavour->always;
	} while (!(segments & flavour->segments));
	return segments;
}

/* In a section, for a while; whoever may sleep sometimes does. */
static void stay(struct torture_task *task, const struct torture_section *section)
{
	bool open = !(section->segments & (SEGMENT_PREEMPT | SEGMENT_IRQ));
	u32 longest = task->torture->delay;

	if (!random_below(&task->random, LONG_READS))
		longest *= LONG_FACTOR;
	torture_spin(task, longest);
	if (open && section->flavour->may_sleep && !random_below(&task->random, 8))
		yield();
}

static void read_in_sections(struct torture_task *task)
{
	struct torture_section section = { .flavour = torture_flavour(task->torture) };
	struct torture_element *element;
	u64 began;

	section_change(&section, any_segments(task));
	began = torture_ended(task->torture);
	element = torture_read(task);
	stay(task, &section);
	for (u32 more = random_below(&task->random, 4); more; more--) {
		section_change(&section, any_segments(task));
		stay(task, &section);
	}
	if (element)
		torture_judge(task, element, began);
	section_change(&section, 0);
	task->reads[READ_IN_TASK]++;
}

s64 torture_reader(void *argument)
{
	struct torture_task *task = argument;

	while (torture_goes_on(task))
		read_in_sections(task);
	return 0;
}

/* An interrupt that reads, wherever it comes. */
static void read_in_interrupt(void *argument)
{
	struct torture_task *task = argument;
	const struct torture_flavour *flavour = torture_flavour(task->torture);
	u32 cookie = flavour->lock();
	u64 began = torture_ended(task->torture);
	struct torture_element *element = torture_read(task);

	torture_spin(task, task->torture->delay / 4);
	if (element)
		torture_judge(task, element, began);
	flavour->unlock(cookie);
	task->reads[READ_IN_INTERRUPT]++;
}

/* From now on CPU @task->number is interrupted by readers; -errno of request_irq(). */
s64 torture_interrupt(void *argument)
{
	struct torture_task *task = argument;

	return request_irq(task->number, 0, read_in_interrupt, task);
}

s64 torture_begin(void *argument)
{
	struct torture *torture = argument;
	const struct torture_flavour *flavour = torture_flavour(torture);

	torture->left_alone = -1;
	INIT_LIST_HEAD(&torture->free);
	for (u32 n = 0; n < ELEMENTS; n++)
		list_add_tail(&torture->element[n].list, &torture->free);
	torture->nr_free = ELEMENTS;
	if (flavour->start)
		flavour->start();
	return 0;
}

static struct torture_element *take_free(struct torture *torture)
{
	struct torture_element *element = NULL;
	u32 flags = spin_lock_irqsave(&torture->lock);

	if (!list_empty(&torture->free)) {
		element = list_first_entry(&torture->free, struct torture_element, list);
		list_del(&element->list);
		torture->nr_free--;
	}
	spin_unlock_irqrestore(&torture->lock, flags);
	return element;
}

static void give_back(struct torture *torture, struct torture_element *element)
{
	u32 flags = spin_lock_irqsave(&torture->lock);

	list_add_tail(&element->list, &torture->free);
	torture->nr_free++;
	spin_unlock_irqrestore(&torture->lock, flags);
}

/* A grace period has passed since the last place; true at the end of the pipe. */
static bool move_on(struct torture_element *element)
{
	record_side(&element->aged);
	WRITE_ONCE(element->pipe, element->pipe + 1);
	if (element->pipe < PIPE_LENGTH)
		return false;
	WRITE_ONCE(element->alive, 0);
	return true;
}

static struct torture *the_torture; /* for callbacks; the writer writes before the first */

static void move_on_by_callback(struct rcu_head *head)
{
	struct torture_element *element = container_of(head, struct torture_element, head);

	if (move_on(element))
		give_back(the_torture, element);
	else
		torture_flavour(the_torture)->call(&element->head, move_on_by_callback);
}

/* All that the writer has removed and that waits for no callback. */
static void move_removed_on(struct torture *torture, struct list_head *removed)
{
	struct torture_element *element, *next;

	list_for_each_entry_safe(element, next, removed, list) {
		if (!move_on(element))
			continue;
		list_del(&element->list);
		give_back(torture, element);
	}
}

enum torture_wait torture_wait_somehow(struct torture_task *task)
{
	const struct torture_flavour *flavour = torture_flavour(task->torture);
	enum torture_wait how = random_below(&task->random, WAIT_CALLBACK);
	u64 state;

	if (how == WAIT_EXPEDITED && flavour->expedited) {
		flavour->expedited();
	} else if (how == WAIT_POLLED && flavour->poll) {
		state = flavour->start_poll();
		while (!flavour->poll(state))
			torture_sleep(50);
	} else if (how == WAIT_CONDITIONAL && flavour->conditional) {
		state = flavour->get_state();
		torture_spin(task, task->torture->delay);
		flavour->conditional(state);
	} else {
		flavour->synchronize();
		how = WAIT_NORMAL;
	}
	return how;
}

static void replace(struct torture_task *task, struct torture_element *element,
		    struct list_head *removed)
{
	struct torture *torture = task->torture;
	const struct torture_flavour *flavour = torture_flavour(torture);
	struct torture_element *old = torture->newest;

	if (element) {
		element->pipe = 0;
		element->aged.tsc = 0;
		WRITE_ONCE(element->alive, 1);
	}
	rcu_assign_pointer(torture->newest, element);
	if (!old)
		return;
	WRITE_ONCE(old->pipe, 1);
	if (flavour->call && random_below(&task->random, 1000) < torture->call_per_mille) {
		flavour->call(&old->head, move_on_by_callback);
		task->updates[WAIT_CALLBACK]++;
		return;
	}
	list_add(&old->list, removed);
	task->updates[torture_wait_somehow(task)]++;
	move_removed_on(torture, removed);
}

/* The one that replaces. */
s64 torture_writer(void *argument)
{
	struct torture_task *task = argument;
	struct torture *torture = task->torture;
	const struct torture_flavour *flavour = torture_flavour(torture);
	LIST_HEAD(removed);

	the_torture = torture;
	while (torture_goes_on(task)) {
		struct torture_element *element = take_free(torture);

		if (element)
			replace(task, element, &removed);
		else
			flavour->synchronize(); /* All wait for callbacks. */
		torture_spin(task, torture->delay);
	}
	replace(task, NULL, &removed);
	while (!list_empty(&removed))
		move_removed_on(torture, &removed);
	for (u32 n = 0; flavour->drain && n <= PIPE_LENGTH; n++)
		flavour->drain();
	claim(READ_ONCE(torture->nr_free) == ELEMENTS, torture->nr_free, ELEMENTS);
	return 0;
}

/* One that only waits for grace periods, so that there are several at a time. */
s64 torture_fake_writer(void *argument)
{
	struct torture_task *task = argument;

	while (torture_goes_on(task)) {
		torture_spin(task, task->torture->delay * LONG_FACTOR);
		task->waits[torture_wait_somehow(task)]++;
	}
	return 0;
}
