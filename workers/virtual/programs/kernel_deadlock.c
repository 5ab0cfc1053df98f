// SPDX-License-Identifier: MIT
/* Who waits for ever, a task or a CPU, by the notes that they leave before they wait. */
#include "programs/kernel.h"

#include "detectors/report.h"
#include "detectors/section.h"

#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/rcu_tasks.h>
#include <kernel/rwlock.h>
#include <kernel/rwsem.h>
#include <kernel/seqlock.h>
#include <kernel/smp.h>

/* Who must act; a mask has one bit for each CPU that has not. */
static u32 first_cpu(u64 mask)
{
	return mask ? __builtin_ctzl(mask) : AGENT_NOBODY;
}

static void wait_for_task(struct waiting *waiting, u64 task)
{
	const struct task_struct *owner = (const struct task_struct *)task;

	if (!owner)
		return;
	waiting->waits_for = owner->cpu;
	waiting->owner = owner->index + 1;
}

static void note_lock(struct waiting *waiting, const struct wait_note *note)
{
	const struct mutex *mutex = (const struct mutex *)note->object;

	switch (note->kind) {
	case WAIT_SPINLOCK:
		waiting->what = WAITING_SPINLOCK;
		waiting->value = *(const u32 *)note->object;
		waiting->waits_for = waiting->value - 1;
		break;
	case WAIT_MUTEX:
		waiting->what = WAITING_MUTEX;
		waiting->value = mutex->owner;
		wait_for_task(waiting, mutex->owner);
		break;
	case WAIT_RWSEM:
		waiting->what = WAITING_WRITE_LOCK;
		waiting->value = ((const struct rw_semaphore *)note->object)->state;
		wait_for_task(waiting, ((const struct rw_semaphore *)note->object)->owner);
		break;
	case WAIT_RWLOCK:
		waiting->what = WAITING_WRITE_LOCK;
		waiting->value = ((const rwlock_t *)note->object)->counts;
		waiting->waits_for = ((const rwlock_t *)note->object)->writer - 1;
		break;
	case WAIT_SEQCOUNT:
		waiting->value = ((const seqcount_t *)note->object)->sequence;
		waiting->waits_for = note->value - 1;
		break;
	case WAIT_PERCPU_RWSEM:
		waiting->what = WAITING_WRITE_LOCK;
		if (note->value)
			wait_for_task(waiting, (u64)&the_machine->task[note->value - 1]);
		break;
	}
}

static void note_what(struct waiting *waiting, const struct wait_note *note)
{
	u32 count, reader;

	if (note->kind == WAIT_NONE)
		return;
	waiting->object = note->object;
	waiting->value = note->value;
	note_lock(waiting, note);
	switch (note->kind) {
	case WAIT_RCU_SYNC:
		waiting->what = WAITING_GRACE_PERIOD;
		break;
	case WAIT_RCU_TASKS:
		waiting->what = WAITING_GRACE_PERIOD;
		wait_for_task(waiting, (u64)rcu_tasks_holder());
		break;
	case WAIT_RCU_TASKS_TRACE:
		waiting->what = WAITING_GRACE_PERIOD;
		wait_for_task(waiting, (u64)rcu_tasks_trace_holder());
		break;
	case WAIT_COMPLETION:
		waiting->what = WAITING_COMPLETION;
		break;
	case WAIT_CROSS_CALL:
		waiting->what = WAITING_CROSS_CALL;
		waiting->value = smp_unacked(note);
		waiting->waits_for = first_cpu(waiting->value);
		break;
	case WAIT_GRACE_PERIOD:
		waiting->what = WAITING_GRACE_PERIOD;
		waiting->value = rcu_unreported(note);
		waiting->waits_for = first_cpu(waiting->value);
		if (!waiting->value)
			wait_for_task(waiting, (u64)rcu_blocked_holder(note, &count));
		break;
	case WAIT_SRCU:
		waiting->what = WAITING_GRACE_PERIOD;
		waiting->waits_for = first_cpu(note->value);
		reader = grace_period_reader(note->object);
		if (reader < MAX_TASKS)
			wait_for_task(waiting, (u64)&the_machine->task[reader]);
		break;
	case WAIT_STOP_MACHINE:
		waiting->what = WAITING_STOP_MACHINE;
		break;
	case WAIT_TIMER:
		waiting->what = WAITING_TIMER;
		waiting->waits_for = note->value - 1;
		break;
	case WAIT_FLUSH:
		waiting->what = WAITING_FLUSH;
		if (note->value)
			wait_for_task(waiting, (u64)&the_machine->task[note->value - 1]);
		break;
	case WAIT_QUEUE:
		waiting->what = WAITING_QUEUE;
		break;
	case WAIT_IRQ_WORK:
		waiting->what = WAITING_IRQ_WORK;
		break;
	}
}

static void note_place(struct waiting *waiting, const struct task_struct *task)
{
	const struct vcpu *cpu = &engine.vcpu[task->cpu];
	const struct fiber *fiber = &fibers[task->index];
	u64 stack[1 + ARRAY_SIZE(waiting->caller)] = { 0 };
	struct side side = { 0 };

	if (cpu->fiber == fiber) {
		virtual_side_of(&side, cpu);
		for (u32 n = 0; n < ARRAY_SIZE(stack) && (!n || side.stack[n - 1]); n++)
			stack[n] = side.stack[n];
	} else if (fiber->sp) {
		report_walk(stack, ARRAY_SIZE(stack), fiber->pc, *(u64 *)fiber->sp);
	}
	waiting->pc = stack[0];
	for (u32 n = 0; n < ARRAY_SIZE(waiting->caller); n++)
		waiting->caller[n] = stack[n + 1];
}

/* @task can go on only when somebody else has done something, and nobody has anything to do. */
static bool is_waiting(const struct task_struct *task)
{
	const struct vcpu *cpu = &engine.vcpu[task->cpu];

	if (task->class == TASK_IDLE || task->state == TASK_FREE || task->state == TASK_DEAD)
		return false;
	if (kernel_task_has_ended(task))
		return false;
	if (task->wait.kind != WAIT_NONE && task->wait.kind != WAIT_WORK &&
	    task->wait.kind != WAIT_TIMEOUT)
		return true;
	/* It sleeps without a note, has its CPU and waits for a word, or its CPU is down. */
	return kernel_task_is_explored(task) &&
	       (task->state == TASK_BLOCKED || cpu->fiber == &fibers[task->index] ||
		!task->on_rq);
}

u32 kernel_find_waiting(struct waiting *waiting)
{
	struct vcpu *self = engine.cpu;
	u32 count = 0;

	for (u32 n = 0; n < MAX_TASKS && count < VIRTUAL_CPUS; n++) {
		const struct task_struct *task = &the_machine->task[n];
		struct waiting *one = &waiting[count];

		if (!is_waiting(task))
			continue;
		*one = (struct waiting){
			.cpu = task->cpu,
			.task = task->index,
			.what = WAITING_WORD,
			.waits_for = AGENT_NOBODY,
			.object = engine.vcpu[task->cpu].pending.addr,
		};
		/* Mechanisms are asked: hooks keep quiet. */
		engine.cpu = NULL;
		note_what(one, &task->wait);
		engine.cpu = self;
		if (one->waits_for >= nr_kernel_cpus())
			one->waits_for = AGENT_NOBODY;
		note_place(one, task);
		count++;
	}
	return count;
}
