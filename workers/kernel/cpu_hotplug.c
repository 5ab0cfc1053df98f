// SPDX-License-Identifier: MIT
/*
 * CPUs go down and come up, as in kernel/cpu.c of Linux (v6.12), but for tasks: they do not
 * migrate, so they park, and wait until their CPU is up again.
 *
 * Down: the CPU's own thread asks its tasks to park, and closes the CPU when all sleep. Nobody
 * holds the lock of the set of CPUs meanwhile, since tasks that have to finish something may need
 * it. Then, as its writer: callbacks; the thread parks; all CPUs stop, and this one takes itself
 * off; its stopper parks; its idle task rests. Up is the reverse.
 */
#include <error.h>
#include <finding.h>
#include <kernel/completion.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/kthread.h>
#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/rcu_tasks.h>
#include <kernel/srcu.h>
#include <kernel/stop_machine.h>
#include <kernel/timer.h>
#include <percpu.h>

#define PARK_PATIENCE_NS 1000000000UL /* then a CPU whose tasks have not parked stays up */

struct cpuhp_step {
	const char *name;      /* NULL = free */
	cpuhp_callback_t startup;
	cpuhp_callback_t teardown;
};

struct cpuhp_cpu_state {
	struct task_struct *thread; /* runs on this CPU what is asked of it; NULL = none yet */
	enum cpuhp_state state;     /* reached; under cpu_add_remove_lock */
	cpuhp_callback_t call;      /* what the thread is to do; the asker writes */
	int result;                 /* of it; the thread writes */
	u32 asked;                  /* 1 = call stands there; the thread clears */
	struct completion done;     /* of the call */
	u32 dead;                   /* 1 = nothing runs there any more; its idle task sets it */
	u32 bring_up;               /* 1 = the idle task is to bring it up */
	u32 late_irqs;              /* IRQ_*, taken when it is up again; the CPU alone */
};

DEFINE_RWSEM(cpu_hotplug_lock);

/* One CPU at a time goes up or down; steps and states of CPUs are under it, too. */
static DEFINE_MUTEX(cpu_add_remove_lock);
static DEFINE_PER_CPU(struct cpuhp_cpu_state, cpuhp_states);

static int bringup_cpu(unsigned int cpu);
static int takedown_cpu(unsigned int cpu);

static struct cpuhp_step steps[CPUHP_ONLINE + 1] = {
	[CPUHP_BRINGUP_CPU] = { "cpu:bringup", bringup_cpu, takedown_cpu },
};

void check_cpus_held(void)
{
	if (unlikely(!rwsem_is_locked(&cpu_hotplug_lock)))
		report_finding(FINDING_BAD_CONTEXT, NULL, (u64)__builtin_return_address(0),
			       preempt_count(), irqs_disabled(), in_interrupt());
}

static s64 cpuhp_thread(void *argument)
{
	struct cpuhp_cpu_state *st = argument;

	kthread_set_per_cpu(current);
	for (;;) {
		struct wait_note before;

		set_current_blocked();
		if (kthread_should_park()) {
			kthread_parkme();
			continue;
		}
		if (smp_load_acquire(&st->asked)) {
			set_current_running();
			WRITE_ONCE(st->asked, 0);
			st->result = st->call(smp_processor_id());
			complete(&st->done);
			continue;
		}
		before = wait_begin(WAIT_WORK, st, 0);
		schedule();
		wait_end(before);
	}
	return 0;
}

/* Under cpu_add_remove_lock, while @cpu is online. */
static int have_thread(u32 cpu)
{
	struct cpuhp_cpu_state *st = per_cpu_ptr(cpuhp_states, cpu);

	if (st->thread)
		return 0;
	init_completion(&st->done);
	st->state = CPUHP_ONLINE;
	st->thread = kthread_run(cpu, cpuhp_thread, st, "cpuhp");
	return st->thread ? 0 : -EAGAIN;
}

/* In the thread of @cpu: @call(@cpu). */
static int run_on(u32 cpu, cpuhp_callback_t call)
{
	struct cpuhp_cpu_state *st = per_cpu_ptr(cpuhp_states, cpu);

	st->call = call;
	smp_store_release(&st->asked, 1);
	wake_up_process(st->thread);
	wait_for_completion(&st->done);
	return st->result;
}

/*
 * Until every task of this CPU has parked, sleeps or has ended, and nobody needs one of those
 * that sleep. The thread of this CPU is none of them.
 */
static int close_cpu(unsigned int cpu)
{
	const u32 *woken = &this_cpu()->woken;
	u64 began = machine_now();

	sched_cpu_asks();
	for (;;) {
		u32 before = READ_ONCE(*woken);
		int error = sched_cpu_close();

		if (!error)
			return 0;
		if (machine_now() - began > PARK_PATIENCE_NS)
			break;
		if (error == -EBUSY) {
			yield();
			continue;
		}
		rcu_tasks_wait_begin();
		machine_relax_while(woken, before);
		rcu_tasks_wait_end();
	}
	sched_cpu_open();
	return -EBUSY;
}

static int open_cpu(unsigned int cpu)
{
	sched_cpu_open();
	return 0;
}

/* In the stopper of the CPU that goes down: everybody stands, with interrupts off. */
static int take_cpu_down(void *unused)
{
	u32 cpu = smp_processor_id();

	WRITE_ONCE(this_cpu()->online, 0);
	/* What interrupts it from now on waits until it is up, and so does what has just come. */
	this_cpu_ptr(cpuhp_states)->late_irqs = machine_take_irqs();
	/* Calls do not. Who found it online has queued: nobody stands in between. */
	smpcfd_dying_cpu();
	sched_cpu_dying();
	stop_machine_park(cpu);
	return 0;
}

static int takedown_cpu(unsigned int cpu)
{
	struct cpuhp_cpu_state *st = per_cpu_ptr(cpuhp_states, cpu);
	int error;

	kthread_park(st->thread);
	WRITE_ONCE(st->dead, 0);
	WRITE_ONCE(st->bring_up, 0);
	error = stop_machine_cpuslocked(take_cpu_down, NULL, cpumask_of(cpu));
	if (error) {
		kthread_unpark(st->thread);
		return error;
	}
	while (!smp_load_acquire(&st->dead))
		machine_relax_while(&st->dead, 0);
	timers_dead_cpu(cpu);
	return 0;
}

void cpuhp_report_idle_dead(void)
{
	struct cpu *cpu = this_cpu();
	struct cpuhp_cpu_state *st = this_cpu_ptr(cpuhp_states);

	rcutree_report_cpu_dead();
	smp_store_release(&st->dead, 1);
	machine_wake(&st->dead);
	while (!smp_load_acquire(&st->bring_up)) {
		machine_idle();
		st->late_irqs |= machine_take_irqs();
	}
	rcutree_report_cpu_starting();
	sched_cpu_starting();
	srcu_cpu_starting();
	/*
	 * Online before text is fetched anew, and before the first reader: who writes text,
	 * or removes something, and does not find this CPU online, has done so before.
	 */
	(void)xchg(&cpu->online, 1);
	sync_core();
	machine_wake(&cpu->online);
	if (st->late_irqs & ~IRQ_CALL)
		machine_raise_irq(cpu->id, st->late_irqs & ~IRQ_CALL);
}

static int bringup_cpu(unsigned int cpu)
{
	struct cpuhp_cpu_state *st = per_cpu_ptr(cpuhp_states, cpu);

	smp_store_release(&st->bring_up, 1);
	machine_raise_irq(cpu, IRQ_RESCHED);
	while (!smp_load_acquire(&cpu_at(cpu)->online))
		machine_relax_while(&cpu_at(cpu)->online, 0);
	stop_machine_unpark(cpu);
	kthread_unpark(st->thread);
	return 0;
}

static int invoke(u32 cpu, u32 state, cpuhp_callback_t callback)
{
	if (!callback)
		return 0;
	return state > CPUHP_BRINGUP_CPU ? run_on(cpu, callback) : callback(cpu);
}

/* To @target, step by step; after an error it stands before the step that has failed. */
static int step_up(u32 cpu, enum cpuhp_state target)
{
	struct cpuhp_cpu_state *st = per_cpu_ptr(cpuhp_states, cpu);
	int error;

	for (; st->state < target; st->state++) {
		error = invoke(cpu, st->state + 1, steps[st->state + 1].startup);
		if (error)
			return error;
	}
	return 0;
}

static int step_down(u32 cpu, enum cpuhp_state target)
{
	struct cpuhp_cpu_state *st = per_cpu_ptr(cpuhp_states, cpu);
	int error;

	for (; st->state > target; st->state--) {
		error = invoke(cpu, st->state, steps[st->state].teardown);
		if (error)
			return error;
	}
	return 0;
}

/* What is taken back must not fail: it has been so before. */
static void check_taken_back(u32 cpu, int error)
{
	if (unlikely(error))
		report_finding(FINDING_BAD_STATE, NULL, cpu, error, 0);
}

static int take_down(u32 cpu)
{
	int error = have_thread(cpu);

	if (!error)
		error = run_on(cpu, close_cpu);
	if (error)
		return error;
	cpus_write_lock();
	error = step_down(cpu, CPUHP_OFFLINE);
	if (error) {
		check_taken_back(cpu, step_up(cpu, CPUHP_ONLINE));
		run_on(cpu, open_cpu);
	}
	cpus_write_unlock();
	return error;
}

static int bring_up(u32 cpu)
{
	int error;

	cpus_write_lock();
	error = step_up(cpu, CPUHP_ONLINE);
	if (error)
		check_taken_back(cpu, step_down(cpu, CPUHP_OFFLINE));
	else
		run_on(cpu, open_cpu);
	cpus_write_unlock();
	return error;
}

int cpu_down(unsigned int cpu)
{
	int error = 0;

	might_sleep();
	if (cpu >= num_cpus())
		return -EINVAL;
	/* Who waited for the lock would have to park, if its own CPU went down. */
	if (cpu == 0 || cpu == smp_processor_id() || !mutex_trylock(&cpu_add_remove_lock))
		return -EBUSY;
	if (cpu_online(cpu))
		error = take_down(cpu);
	mutex_unlock(&cpu_add_remove_lock);
	return error;
}

int cpu_up(unsigned int cpu)
{
	int error = 0;

	might_sleep();
	if (cpu >= num_cpus())
		return -EINVAL;
	if (!mutex_trylock(&cpu_add_remove_lock))
		return -EBUSY;
	if (!cpu_online(cpu))
		error = bring_up(cpu);
	mutex_unlock(&cpu_add_remove_lock);
	return error;
}

static void lock_states(void)
{
	/* Not in line for it: see cpu_down(). */
	while (!mutex_trylock(&cpu_add_remove_lock))
		yield();
}

int cpuhp_threads_init(void)
{
	int cpu, error = 0;

	lock_states();
	for_each_online_cpu(cpu)
		error = error ? error : have_thread(cpu);
	mutex_unlock(&cpu_add_remove_lock);
	return error;
}

static int reserve_step(enum cpuhp_state first)
{
	enum cpuhp_state last = first == CPUHP_AP_ONLINE_DYN ? CPUHP_AP_ONLINE_DYN_END
							      : CPUHP_BP_PREPARE_DYN_END;

	if (first != CPUHP_AP_ONLINE_DYN && first != CPUHP_BP_PREPARE_DYN)
		return -EINVAL;
	for (u32 state = first; state <= last; state++) {
		if (!steps[state].name)
			return state;
	}
	return -ENOSPC;
}

/* For each CPU that has passed @state, those below @end: @callback. */
static int call_each(u32 state, cpuhp_callback_t callback, int end, int *failed)
{
	int cpu, error = 0;

	for_each_online_cpu(cpu) {
		*failed = cpu;
		if (cpu >= end)
			return 0;
		error = have_thread(cpu);
		if (!error)
			error = invoke(cpu, state, callback);
		if (error)
			return error;
	}
	return 0;
}

static int setup_state(enum cpuhp_state state, struct cpuhp_step step, bool calls)
{
	int place, failed, error = 0;

	lock_states();
	place = reserve_step(state);
	if (place > 0 && calls) {
		error = call_each(place, step.startup, MAX_CPUS, &failed);
		if (error)
			check_taken_back(failed, call_each(place, step.teardown, failed, &failed));
	}
	if (place > 0 && !error)
		steps[place] = step;
	mutex_unlock(&cpu_add_remove_lock);
	return error ? error : place;
}

static void remove_state(enum cpuhp_state state, bool calls)
{
	int failed, error = 0;

	lock_states();
	if (calls)
		error = call_each(state, steps[state].teardown, MAX_CPUS, &failed);
	check_taken_back(failed, error);
	steps[state] = (struct cpuhp_step){ 0 };
	mutex_unlock(&cpu_add_remove_lock);
}

int cpuhp_setup_state(enum cpuhp_state state, const char *name, cpuhp_callback_t startup,
		      cpuhp_callback_t teardown)
{
	return setup_state(state, (struct cpuhp_step){ name, startup, teardown }, true);
}

int cpuhp_setup_state_nocalls(enum cpuhp_state state, const char *name,
			      cpuhp_callback_t startup, cpuhp_callback_t teardown)
{
	return setup_state(state, (struct cpuhp_step){ name, startup, teardown }, false);
}

void cpuhp_remove_state(enum cpuhp_state state)
{
	remove_state(state, true);
}

void cpuhp_remove_state_nocalls(enum cpuhp_state state)
{
	remove_state(state, false);
}
