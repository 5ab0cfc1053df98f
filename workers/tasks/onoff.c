// SPDX-License-Identifier: MIT
/* CPUs go and come, in the spirit of torture_onoff() of kernel/torture.c, Linux v6.12. */
#include <error.h>
#include <finding.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/rcu_tasks.h>
#include <kernel/sched.h>
#include <tasks/onoff.h>
#include <tasks/random.h>

static void pause_a_while(struct onoff *onoff)
{
	u64 most = 2 * onoff->interval_us * 1000;
	u64 until = machine_now() + random_next(&onoff->random) % (most + 1);

	while (machine_now() < until && !READ_ONCE(the_machine->stop)) {
		machine_relax_while(&the_machine->stop, 0);
		yield();
	}
}

static void note(struct onoff_counts *counts, int error, u64 ns)
{
	counts->attempts++;
	/* A CPU whose tasks do not park in time stays up. */
	claim(!error || error == -EBUSY, error);
	if (error)
		return;
	counts->successes++;
	counts->total_ns += ns;
	if (!counts->shortest_ns || ns < counts->shortest_ns)
		counts->shortest_ns = ns;
	if (ns > counts->longest_ns)
		counts->longest_ns = ns;
}

static void bring_up(struct onoff *onoff, u32 cpu)
{
	u64 began = machine_now();
	int error = cpu_up(cpu);

	note(&onoff->up, error, machine_now() - began);
	claim(cpu_online(cpu), cpu, error);
}

static void take_down(struct onoff *onoff, u32 cpu)
{
	u64 began = machine_now();
	int error = cpu_down(cpu);

	note(&onoff->down, error, machine_now() - began);
	claim(!cpu_online(cpu) == !error, cpu, error);
}

s64 onoff_task(void *argument)
{
	struct onoff *onoff = argument;
	u32 cpu;

	while (num_cpus() > 1 && !READ_ONCE(the_machine->stop)) {
		cpu = 1 + random_below(&onoff->random, num_cpus() - 1);
		if (cpu_online(cpu))
			take_down(onoff, cpu);
		else
			bring_up(onoff, cpu);
		current->progress++;
		pause_a_while(onoff);
	}
	/* Their tasks have to end. */
	for (cpu = 1; cpu < num_cpus(); cpu++) {
		if (!cpu_online(cpu))
			bring_up(onoff, cpu);
	}
	return 0;
}
