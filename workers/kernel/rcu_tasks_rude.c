// SPDX-License-Identifier: MIT
/*
 * RCU-tasks-rude: a switch to the stopper is forced on every CPU that is online.
 *
 * A switch is the one thing that no reader of this flavour contains. Where a CPU stands is not
 * asked: what RCU knows of it says nothing of code that runs where RCU does not watch. The set of
 * CPUs does not change meanwhile: one that goes down is waited for until it is down, and then
 * runs nothing.
 */
#include <kernel/cpu_hotplug.h>
#include <kernel/rcu_tasks_callbacks.h>
#include <kernel/rcu_tasks_rude.h>
#include <kernel/sched.h>
#include <kernel/stop_machine.h>
#include <percpu.h>

#define NO_CPU MAX_CPUS

struct rude_cpu {
	u32 waits;                 /* 1 = has not switched yet; leader sets, its stopper clears */
	struct cpu_stop_work work;
};

static DEFINE_PER_CPU(struct rude_cpu, rude_cpus);
static struct task_struct *leader; /* of the grace period; it writes */
static u32 awaited = NO_CPU;       /* the CPU that it sleeps for; it writes */

/* In the stopper of each CPU: what ran there before does not run now. */
static int be_rude(void *unused)
{
	u32 cpu = smp_processor_id();
	struct task_struct *waiter = READ_ONCE(leader);

	/* The stopper is done with the work before the next leader uses it again. */
	smp_store_release(&per_cpu_ptr(rude_cpus, cpu)->waits, 0);
	smp_mb(); /* That before who waits is read; pairs with xchg() of wait_for_switch(). */
	if (READ_ONCE(awaited) == cpu)
		wake_up_process(waiter);
	return 0;
}

static void ask_for_switch(u32 cpu)
{
	struct rude_cpu *rude_cpu = per_cpu_ptr(rude_cpus, cpu);

	WRITE_ONCE(rude_cpu->waits, 1);
	/* Only who was asked answers. */
	if (!stop_one_cpu_nowait(cpu, be_rude, NULL, &rude_cpu->work))
		WRITE_ONCE(rude_cpu->waits, 0);
}

/* One by one: so the note tells which CPU it is. */
static void wait_for_switch(u32 cpu)
{
	const u32 *waits = &per_cpu_ptr(rude_cpus, cpu)->waits;
	struct wait_note before = wait_begin(WAIT_GRACE_PERIOD, &rude_cpus, cpumask_of(cpu));

	WRITE_ONCE(awaited, cpu);
	for (;;) {
		set_current_blocked();
		if (!smp_load_acquire(waits))
			break;
		schedule();
	}
	set_current_running();
	WRITE_ONCE(awaited, NO_CPU);
	wait_end(before);
}

static void wait_for_switches(void)
{
	int cpu;

	cpus_read_lock();
	WRITE_ONCE(leader, current);
	for_each_online_cpu(cpu)
		ask_for_switch(cpu);
	for_each_online_cpu(cpu)
		wait_for_switch(cpu);
	cpus_read_unlock();
}

DEFINE_RCU_TASKS(rude, "rcu_tasks_rude", RUDE_READERS, wait_for_switches);

void synchronize_rcu_tasks_rude(void)
{
	synchronize_rcu_tasks_generic(&rude);
}

void call_rcu_tasks_rude(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_tasks_generic(head, func, &rude);
}

void rcu_barrier_tasks_rude(void)
{
	rcu_barrier_tasks_generic(&rude);
}

void rcu_tasks_rude_start(void)
{
	rcu_spawn_tasks_kthread_generic(&rude);
}
