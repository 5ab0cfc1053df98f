// SPDX-License-Identifier: MIT
/*
 * What else rcu_torture does: floods of callbacks, barriers, stalls, pauses, and sections that
 * one task begins and another ends.
 */
#include <kernel/timer.h>
#include <tasks/random.h>

#include "rcu_torture.h"

void torture_sleep(u64 us)
{
	schedule_timeout_uninterruptible(usecs_to_jiffies(us));
}

static void run_call(struct rcu_head *head)
{
	atomic_inc(container_of(head, struct torture_call, head)->ran);
}

static void queue_calls(struct torture_task *task, u32 count)
{
	const struct torture_flavour *flavour = torture_flavour(task->torture);

	for (u32 n = 0; n < count; n++) {
		task->calls[n].ran = &task->ran;
		flavour->call(&task->calls[n].head, run_call);
	}
}

/* As many callbacks as there are, at once: all of them run, and in bounded time. */
s64 torture_flood(void *argument)
{
	struct torture_task *task = argument;
	u32 count = task->torture->flood;

	while (torture_goes_on(task)) {
		u64 begin = machine_now(), before = READ_ONCE(task->ran), took;

		queue_calls(task, count);
		while (READ_ONCE(task->ran) - before < count)
			torture_sleep(100);
		took = machine_now() - begin;
		task->floods++;
		task->flooded += count;
		if (took > task->flood_ns)
			task->flood_ns = took;
		torture_sleep(20000);
	}
	return 0;
}

/* What was queued before a barrier has run behind it. */
s64 torture_barrier(void *argument)
{
	struct torture_task *task = argument;
	const struct torture_flavour *flavour = torture_flavour(task->torture);

	while (torture_goes_on(task)) {
		u32 count = random_below(&task->random, task->torture->calls) + 1;
		u64 before = READ_ONCE(task->ran), ran;

		queue_calls(task, count);
		flavour->drain();
		ran = READ_ONCE(task->ran) - before;
		claim(ran == count, ran, count);
		task->barriers++;
		torture_sleep(random_below(&task->random, 5000));
	}
	return 0;
}

/* A reader that keeps its CPU for long, with interrupts on or off. */
s64 torture_stall(void *argument)
{
	struct torture_task *task = argument;
	const struct torture *torture = task->torture;
	struct torture_section section = { .flavour = torture_flavour(torture) };

	while (torture_goes_on(task)) {
		u32 off = random_below(&task->random, 2) ? SEGMENT_IRQ : SEGMENT_PREEMPT;
		struct torture_element *element;
		u64 began, end;

		section_change(&section, SEGMENT_LOCK);
		began = torture_ended(torture);
		element = torture_read(task);
		section_change(&section, SEGMENT_LOCK | off);
		end = machine_now() + torture->stall_ms * 1000000UL;
		while (machine_now() < end)
			barrier();
		if (element)
			torture_judge(task, element, began);
		section_change(&section, 0);
		task->reads[READ_IN_TASK]++;
		task->stalls++;
		for (u32 ms = 0; ms < torture->stall_every_ms && torture_goes_on(task); ms += 10)
			torture_sleep(10000);
	}
	return 0;
}

/* Begin sections that another task ends. */
s64 torture_down(void *argument)
{
	struct torture_task *task = argument;
	const struct torture_flavour *flavour = torture_flavour(task->torture);
	struct torture_hand *hand = task->hand;

	while (torture_goes_on(task)) {
		if (smp_load_acquire(&hand->full)) {
			torture_sleep(100);
			continue;
		}
		hand->cookie = flavour->down();
		hand->began = torture_ended(task->torture);
		hand->element = torture_read(task);
		smp_store_release(&hand->full, 1);
	}
	smp_store_release(&hand->ended, 1);
	return 0;
}

s64 torture_up(void *argument)
{
	struct torture_task *task = argument;
	const struct torture_flavour *flavour = torture_flavour(task->torture);
	struct torture_hand *hand = task->hand;

	while (!smp_load_acquire(&hand->ended) || READ_ONCE(hand->full)) {
		/* A section under way is ended also when all else pauses. */
		if (!smp_load_acquire(&hand->full)) {
			torture_goes_on(task);
			torture_sleep(100);
			continue;
		}
		torture_spin(task, task->torture->delay);
		if (hand->element)
			torture_judge(task, hand->element, hand->began);
		flavour->up(hand->cookie);
		task->reads[READ_UP_DOWN]++;
		current->progress++;
		smp_store_release(&hand->full, 0);
	}
	return 0;
}

static bool sleep_unless_stopped(u32 ms)
{
	for (u32 slept = 0; slept < ms && !READ_ONCE(the_machine->stop); slept += 10) {
		current->progress++;
		torture_sleep(10000);
	}
	return !READ_ONCE(the_machine->stop);
}

/* All pause at once, and go on at once: what piles up meanwhile is met by nobody. */
s64 torture_stutter(void *argument)
{
	struct torture_task *task = argument;
	struct torture *torture = task->torture;

	while (sleep_unless_stopped(torture->stutter_ms)) {
		WRITE_ONCE(torture->paused, 1);
		sleep_unless_stopped(torture->stutter_ms);
		WRITE_ONCE(torture->paused, 0);
		task->pauses++;
	}
	return 0;
}

/* One CPU after the other has nothing to do, and is idle. Tasks of ours stay where they are. */
s64 torture_shuffle(void *argument)
{
	struct torture_task *task = argument;
	struct torture *torture = task->torture;

	while (sleep_unless_stopped(torture->shuffle_ms)) {
		WRITE_ONCE(torture->left_alone, (torture->left_alone + 1) % (s32)num_cpus());
		task->pauses++;
	}
	return 0;
}
