// SPDX-License-Identifier: MIT
/*
 * Hangs become findings: each task notes what it waits for, and the coordinator
 * looks whether the same note stands for too long. Time is counted in turns of
 * the coordinator, so a suspended machine does not look like a hang; and a turn in
 * which the host let a CPU wait for a core hardly counts, since that is no hang.
 */
#define _GNU_SOURCE
#include "real.h"

#include <fcntl.h>
#include <finding.h>
#include <kernel/rcu.h>
#include <kernel/rcu_tasks.h>
#include <kernel/smp.h>
#include <memory.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STARVED_SHARE 10      /* what a turn counts less when the host starves a CPU */
#define LITTLE_NS 1000000UL   /* of processor time in a turn: less is none */

struct watched {
	u64 since;            /* the note seen last time, machine time in ns */
	u64 object;
	u64 progress;
	u32 ms;               /* for how long it has stood */
	u32 idle_ms;          /* for how long a task that could run made no progress */
};

static struct watched watched[MAX_TASKS];
static u64 used_ns[MAX_CPUS]; /* processor time of each CPU at the last turn */

static u64 processor_time(pid_t pid)
{
	struct timespec time;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &time))
		return 0;
	return time.tv_sec * 1000000000UL + time.tv_nsec;
}

/* True if the thread that is @cpu could run, as the host sees it. */
static bool is_runnable(const struct cpu *cpu)
{
	char path[64], stat[256];
	const char *name_end;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", cpu->pid, cpu->owner_tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[length > 0 ? length : 0] = 0;
	name_end = strrchr(stat, ')');
	return name_end && !strncmp(name_end, ") R", 3);
}

/* True if a CPU wanted to run in the last turn and got no processor time. */
static bool host_starves_a_cpu(void)
{
	bool starves = false;

	for (u32 n = 0; n < the_machine->config.cpus; n++) {
		u64 used = processor_time(cpu_at(n)->pid);

		if (used - used_ns[n] < LITTLE_NS && is_runnable(cpu_at(n)))
			starves = true;
		used_ns[n] = used;
	}
	return starves;
}

/* Where a task stands that does not run: its thread has left its frame pointer. */
static void side_of_task(struct side *side, const struct task_struct *task)
{
	const struct cpu *cpu = cpu_at(task->cpu);
	u64 fp = READ_ONCE(task->parked_frame);

	side->cpu = task->cpu;
	side->task = task->index;
	side->tsc = machine_cycles();
	if (!fp && cpu->frozen.valid && cpu->frozen.task == task->index) {
		copy_bytes(side->stack, cpu->frozen.stack, sizeof(side->stack));
		return;
	}
	walk_stack(side->stack, 0, fp);
}

/* The task that @task waits for, as far as the note says; NULL = not known. */
static const struct task_struct *blocker_of(const struct task_struct *task)
{
	u64 value = task->wait.value;
	u32 count;

	switch (task->wait.kind) {
	case WAIT_MUTEX:
	case WAIT_RWSEM:
	case WAIT_PERCPU_RWSEM:
	case WAIT_FLUSH:
		return value && value <= MAX_TASKS ? &the_machine->task[value - 1] : NULL;
	case WAIT_RCU_TASKS:
		return rcu_tasks_holder();
	case WAIT_RCU_TASKS_TRACE:
		return rcu_tasks_trace_holder();
	case WAIT_SPINLOCK:
	case WAIT_RWLOCK:
	case WAIT_SEQCOUNT:
	case WAIT_TIMER:
		return value && value <= MAX_CPUS ? cpu_at(value - 1)->curr : NULL;
	case WAIT_CROSS_CALL:
		value = smp_unacked(&task->wait);
		return value ? cpu_at(__builtin_ctzl(value))->curr : NULL;
	case WAIT_SRCU:
		return value ? cpu_at(__builtin_ctzl(value))->curr : NULL;
	case WAIT_GRACE_PERIOD:
		value = rcu_unreported(&task->wait);
		if (!value)
			return rcu_blocked_holder(&task->wait, &count);
		return cpu_at(__builtin_ctzl(value))->curr;
	default:
		return NULL;
	}
}

/* How many tasks wait for each other in a circle that @task is part of; 0 = none. */
static u32 cycle_length(const struct task_struct *task)
{
	const struct task_struct *next = task;

	for (u32 length = 1; length <= MAX_TASKS; length++) {
		next = blocker_of(next);
		if (!next || next->wait.kind == WAIT_NONE)
			return 0;
		if (next == task)
			return length;
	}
	return 0;
}

static struct finding *new_finding(void)
{
	u32 place = atomic_fetch_add(1, &the_machine->nr_findings);

	return place < MAX_FINDINGS ? &the_machine->finding[place] : NULL;
}

/* Who waits for a grace period noted it when it began to. */
static void refresh_notes(void)
{
	for (u32 n = 0; n < MAX_TASKS; n++) {
		struct wait_note *note = &the_machine->task[n].wait;

		if (note->kind == WAIT_GRACE_PERIOD)
			note->value = rcu_unreported(note);
	}
}

static void report_wait(const struct task_struct *task, u32 ms)
{
	struct finding *finding = new_finding();
	const struct task_struct *blocker = blocker_of(task);
	u32 cycle = cycle_length(task), blocked;
	u32 kind = cycle ? FINDING_DEADLOCK : FINDING_HANG;

	if (!finding)
		return;
	freeze_cpus();
	refresh_notes();
	side_of_task(&finding->here, task);
	if (blocker && blocker != task)
		side_of_task(&finding->other, blocker);
	finding->value[0] = task->index;
	finding->value[1] = task->wait.kind;
	finding->value[2] = task->wait.object;
	finding->value[3] = cycle ? cycle : ms;
	if (!cycle && task->wait.kind == WAIT_GRACE_PERIOD) {
		kind = FINDING_STALL;
		finding->value[0] = task->wait.object;
		finding->value[1] = blocker ? blocker->cpu : 0;
		finding->value[2] = ms;
		finding->value[3] = rcu_unreported(&task->wait);
		rcu_blocked_holder(&task->wait, &blocked);
		finding->value[4] = blocked;
	}
	smp_store_release(&finding->kind, kind);
}

static void report_no_progress(const struct task_struct *task, u32 ms)
{
	struct finding *finding = new_finding();

	if (!finding)
		return;
	freeze_cpus();
	side_of_task(&finding->here, task);
	finding->value[0] = task->cpu;
	finding->value[1] = ms;
	finding->value[2] = task->index;
	smp_store_release(&finding->kind, FINDING_NO_PROGRESS);
}

void report_lost_cpu(u32 cpu, int status)
{
	struct finding *finding = new_finding();

	cpu_at(cpu)->lost = 1;
	if (!finding)
		return;
	finding->here.cpu = cpu;
	finding->here.task = cpu_at(cpu)->curr ? cpu_at(cpu)->curr->index : 0;
	finding->here.tsc = machine_cycles();
	finding->value[0] = cpu;
	finding->value[1] = cpu_at(cpu)->pid;
	finding->value[2] = status;
	smp_store_release(&finding->kind, FINDING_CPU_LOST);
}

static u32 patience_for(const struct task_struct *task)
{
	const struct config *config = &the_machine->config;

	return task->wait.kind == WAIT_GRACE_PERIOD ? config->stall_ms : config->hang_ms;
}

static bool can_hang(u32 wait)
{
	return wait != WAIT_NONE && wait != WAIT_WORK && wait != WAIT_TIMEOUT;
}

/* True if this task has waited, or not got on, for too long. */
static bool watch(const struct task_struct *task, struct watched *seen, u32 turn_ms)
{
	bool waits = can_hang(task->wait.kind);
	u32 patience = patience_for(task);

	if (!waits || task->wait.since != seen->since || task->wait.object != seen->object)
		seen->ms = 0;
	else
		seen->ms += turn_ms;
	seen->since = task->wait.since;
	seen->object = task->wait.object;
	if (waits || task->wait.kind == WAIT_TIMEOUT || !task->user || !task->progress ||
	    task->progress != seen->progress)
		seen->idle_ms = 0;
	else if (READ_ONCE(cpu_at(task->cpu)->core) != CORE_WANTED)
		seen->idle_ms += turn_ms; /* In line for a core it cannot get on. */
	seen->progress = task->progress;
	return patience && (seen->ms >= patience || seen->idle_ms >= patience);
}

bool watchdog_turn(u32 turn_ms)
{
	const struct task_struct *worst = NULL;

	if (host_starves_a_cpu())
		turn_ms /= STARVED_SHARE;

	for (u32 n = 0; n < MAX_TASKS; n++) {
		const struct task_struct *task = &the_machine->task[n];

		/* What waits on a CPU that is down goes on when it is up. */
		if ((task->state != TASK_RUNNING && task->state != TASK_BLOCKED) ||
		    READ_ONCE(cpu_at(task->cpu)->leaving) >= CPU_CLOSED) {
			watched[n] = (struct watched){ 0 };
			continue;
		}
		if (!watch(task, &watched[n], turn_ms))
			continue;
		/* Who waits longest is nearest to the cause. */
		if (!worst || watched[n].ms > watched[worst->index].ms)
			worst = task;
	}
	if (!worst)
		return false;
	if (watched[worst->index].ms >= patience_for(worst))
		report_wait(worst, watched[worst->index].ms);
	else
		report_no_progress(worst, watched[worst->index].idle_ms);
	return true;
}
