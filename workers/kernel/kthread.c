// SPDX-License-Identifier: MIT
/* Tasks are slots that live as long as the machine; a task that ended leaves its slot for reuse. */
#include <error.h>
#include <kernel/balance.h>
#include <kernel/completion.h>
#include <kernel/kthread.h>
#include <kernel/rcu_tasks_trace.h>
#include <kernel/spinlock.h>

static DEFINE_SPINLOCK(slots_lock);

/* Completed when the task in the slot of this index has parked. */
static struct completion parked[MAX_TASKS];

static bool slot_is_reusable(struct task_struct *task, int cpu)
{
	return smp_load_acquire(&task->state) == TASK_DEAD && task->cpu == (u32)cpu &&
	       !READ_ONCE(task->on_rq);
}

/* A slot never used before, else one of @cpu's whose task has ended. */
static struct task_struct *take_slot(int cpu)
{
	struct task_struct *found = NULL;
	u32 flags = spin_lock_irqsave(&slots_lock);

	for (u32 n = 0; n < MAX_TASKS && !found; n++) {
		if (slot_is_reusable(&the_machine->task[n], cpu))
			found = &the_machine->task[n];
	}
	for (u32 n = 0; n < MAX_TASKS && !found; n++) {
		if (READ_ONCE(the_machine->task[n].state) == TASK_FREE)
			found = &the_machine->task[n];
	}
	if (found)
		WRITE_ONCE(found->state, TASK_BLOCKED);
	spin_unlock_irqrestore(&slots_lock, flags);
	return found;
}

static void fill_slot(struct task_struct *task, int cpu, enum task_class class, const char *name)
{
	size_t n = 0;

	task->index = task - the_machine->task;
	task->cpu = cpu;
	task->class = class;
	task->user = 0;
	task->kthread = 0;
	task->keeps = 0;
	task->result = 0;
	task->nvcsw = task->nivcsw = task->progress = 0;
	task->wait.kind = WAIT_NONE;
	task->worker = 0;
	task->rcu_nesting = task->rcu_special = 0;
	for (; name[n] && n < sizeof(task->name) - 1; n++)
		task->name[n] = name[n];
	task->name[n] = 0;
}

struct task_struct *task_create(int cpu, enum task_class class, s64 (*function)(void *),
				void *argument, const char *name)
{
	struct task_struct *task = take_slot(cpu);

	if (!task)
		return NULL;
	fill_slot(task, cpu, class, name);
	task->function = function;
	task->argument = argument;
	if (machine_start_task(task)) {
		WRITE_ONCE(task->state, TASK_FREE);
		return NULL;
	}
	return task;
}

struct task_struct *kthread_run(int cpu, s64 (*function)(void *), void *argument,
				const char *name)
{
	struct task_struct *task;

	if (cpu < 0 || cpu >= (int)num_cpus())
		return NULL;
	task = task_create(cpu, TASK_NORMAL, function, argument, name);
	if (task)
		wake_up_process(task);
	return task;
}

struct task_struct *user_task_run(int cpu, s64 (*function)(void *), void *argument,
				  const char *name)
{
	struct task_struct *task;

	if (cpu < 0 || cpu >= (int)num_cpus())
		return NULL;
	task = task_create(cpu, TASK_NORMAL, function, argument, name);
	if (!task)
		return NULL;
	task->user = 1;
	atomic_inc(&the_machine->user_tasks);
	cmpxchg(&the_machine->state, MACHINE_FINISHED, MACHINE_RUNNING);
	wake_up_process(task);
	return task;
}

void task_entry(struct task_struct *task)
{
	machine_reader_begins(TASK_READERS);
	for (;;) {
		local_irq_enable();
		task->result = task->function(task->argument);
		check_balance(task->function, TASK_BALANCE);
		rcu_tasks_trace_exit(task->function);
		if (task->user && atomic_dec_and_test(&the_machine->user_tasks)) {
			cmpxchg(&the_machine->state, MACHINE_RUNNING, MACHINE_FINISHED);
			machine_notify();
		}
		/* schedule() returns when the slot has a new task. */
		(void)xchg(&task->state, TASK_DEAD);
		schedule();
		local_irq_disable();
	}
}

void kthread_stop(struct task_struct *task)
{
	atomic_fetch_or(KTHREAD_SHOULD_STOP, &task->kthread);
	wake_up_process(task);
}

bool kthread_should_stop(void)
{
	return READ_ONCE(current->kthread) & KTHREAD_SHOULD_STOP;
}

void kthread_set_per_cpu(struct task_struct *task)
{
	atomic_fetch_or(KTHREAD_PER_CPU, &task->kthread);
}

int kthread_park(struct task_struct *task)
{
	if (READ_ONCE(task->state) == TASK_FREE || READ_ONCE(task->state) == TASK_DEAD)
		return -ENOSYS;
	if (READ_ONCE(task->kthread) & KTHREAD_SHOULD_PARK)
		return -EBUSY;
	init_completion(&parked[task->index]);
	atomic_fetch_or(KTHREAD_SHOULD_PARK, &task->kthread);
	if (task == current)
		return 0;
	wake_up_process(task);
	wait_for_completion(&parked[task->index]);
	return 0;
}

void kthread_unpark(struct task_struct *task)
{
	atomic_fetch_and(~(KTHREAD_SHOULD_PARK | KTHREAD_IS_PARKED), &task->kthread);
	wake_up_process(task);
}

bool kthread_should_park(void)
{
	return READ_ONCE(current->kthread) & KTHREAD_SHOULD_PARK;
}

void kthread_parkme(void)
{
	struct wait_note before;

	for (;;) {
		/* Blocked before the test; pairs with kthread_unpark(). */
		set_current_blocked();
		if (!kthread_should_park())
			break;
		if (!(atomic_fetch_or(KTHREAD_IS_PARKED, &current->kthread) & KTHREAD_IS_PARKED))
			complete(&parked[current->index]);
		before = wait_begin(WAIT_WORK, &parked[current->index], 0);
		schedule();
		wait_end(before);
	}
	set_current_running();
}
