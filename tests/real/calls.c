// SPDX-License-Identifier: MIT
/* Cross calls, interrupts, preemption and stopped CPUs, from tasks. */
#include <error.h>
#include <irqflags.h>
#include <kernel/kthread.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/stop_machine.h>

extern u32 gate;              /* locks.c */
extern u32 reached;

/* What the called function saw; atomic, Python clears. */
struct noted {
	u64 mask;             /* CPUs that ran it */
	u64 count;
	u64 irqs_on;          /* times that interrupts were on */
	u64 not_in_irq;       /* times that it was no interrupt */
};

struct noted noted;

static void note(void *info)
{
	struct noted *to = info;

	atomic_fetch_or(cpumask_of(smp_processor_id()), &to->mask);
	atomic_inc(&to->count);
	if (!irqs_disabled())
		atomic_inc(&to->irqs_on);
	if (!in_interrupt())
		atomic_inc(&to->not_in_irq);
}

s64 call_single(s64 cpu, u64 wait)
{
	return smp_call_function_single(cpu, note, &noted, wait);
}

s64 call_many(u64 mask)
{
	smp_call_function_many(mask, note, &noted, true);
	return noted.count;
}

s64 call_each(void)
{
	on_each_cpu(note, &noted, true);
	return noted.count;
}

/* Every CPU calls every other one at once. */
s64 call_each_often(void *times)
{
	for (u64 n = 0; n < (u64)times; n++)
		on_each_cpu(note, &noted, true);
	return 0;
}

static struct call_single_data async_call = { .func = note, .info = &noted };

s64 call_async(s64 cpu)
{
	return smp_call_function_single_async(cpu, &async_call);
}

u32 async_is_free(void)
{
	return !(smp_load_acquire(&async_call.flags) & CSD_FLAG_LOCK);
}

/* An interrupt that comes meanwhile waits: the calls noted before and after it may come in. */
u64 noted_before, noted_after;

s64 interrupts_off_until_gate(void *unused)
{
	local_irq_disable();
	WRITE_ONCE(reached, 1);
	while (!READ_ONCE(gate))
		machine_relax_while(&gate, 0);
	noted_before = READ_ONCE(noted.count);
	local_irq_enable();
	noted_after = READ_ONCE(noted.count);
	return 0;
}

s64 nested_irq_flags(void)
{
	u32 outer = local_irq_save(), inner = local_irq_save();
	s64 seen = irqs_disabled();

	local_irq_restore(inner);
	seen |= irqs_disabled() << 1;
	local_irq_restore(outer);
	return seen | irqs_disabled() << 2;
}

s64 wait_with_interrupts_off(u64 off)
{
	if (off)
		local_irq_disable();
	smp_call_function_single(1, note, &noted, true);
	if (off)
		local_irq_enable();
	return 0;
}

/* Two tasks on one CPU: one computes, the other counts the turns that the first one gets. */
u64 turns_of_other;           /* the spinning task adds */
u64 other_while_off;          /* turns it got while preemption was off */
u64 switched_after_on;        /* times that this task was preempted as it was turned on */

s64 spin_and_count(void *unused)
{
	while (!READ_ONCE(the_machine->stop))
		WRITE_ONCE(turns_of_other, turns_of_other + 1);
	return 0;
}

static void let_ticks_pass(u64 ticks)
{
	u64 start = READ_ONCE(this_cpu()->nr_ticks);

	while (READ_ONCE(this_cpu()->nr_ticks) - start < ticks)
		barrier();
}

/* The argument: is preemption off? */
s64 compute_for_ticks(void *off)
{
	u64 before;

	while (!READ_ONCE(turns_of_other))
		yield();
	if (off)
		preempt_disable();
	before = READ_ONCE(turns_of_other);
	let_ticks_pass(5);
	other_while_off = READ_ONCE(turns_of_other) - before;
	before = current->nivcsw;
	if (off)
		preempt_enable();
	switched_after_on = current->nivcsw - before;
	return 0;
}

/* Voluntary switches: two tasks of a CPU hand a token to each other. */
u64 token;                    /* turns taken; both add */

s64 take_turns(void *parity)
{
	while (READ_ONCE(token) < 200) {
		if ((READ_ONCE(token) & 1) == (u64)parity)
			WRITE_ONCE(token, token + 1);
		else
			yield();
	}
	return 0;
}

/* One CPU counts for itself; whoever stands still does not. */
u64 moving[MAX_CPUS][8];      /* by CPU, one cache line each */

s64 keep_moving(void *unused)
{
	u64 *mine = &moving[smp_processor_id()][0];

	while (!READ_ONCE(the_machine->stop))
		WRITE_ONCE(*mine, *mine + 1);
	return 0;
}

struct stopped {
	u64 mask;             /* CPUs that ran the function; atomic */
	u64 moved;            /* times that a counter changed while it ran; atomic */
	u64 running;          /* CPUs with interrupts on meanwhile; atomic */
	s64 result;           /* what it returns */
};

struct stopped stopped;

static u64 sum_of_moves(void)
{
	u64 sum = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		sum += READ_ONCE(moving[cpu][0]);
	return sum;
}

static int look_around(void *data)
{
	struct stopped *seen = data;
	u64 before = sum_of_moves(), start = machine_cycles();

	atomic_fetch_or(cpumask_of(smp_processor_id()), &seen->mask);
	while (machine_cycles() - start < 200000)
		barrier();
	if (sum_of_moves() != before)
		atomic_inc(&seen->moved);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		if (!READ_ONCE(cpu_at(cpu)->irq_off))
			atomic_inc(&seen->running);
	}
	return seen->result;
}

s64 look_while_stopped(u64 mask)
{
	return stop_machine(look_around, &stopped, mask);
}

/* The twin: nobody stands still, and it shows. */
s64 look_while_running(void)
{
	while (!READ_ONCE(stopped.moved))
		look_around(&stopped);
	return 0;
}

s64 look_on_one(s64 cpu)
{
	return stop_one_cpu(cpu, look_around, &stopped);
}

s64 look_on_two(s64 cpu1, s64 cpu2)
{
	return stop_two_cpus(cpu1, cpu2, look_around, &stopped);
}

s64 count_stopped_cpu(void *times)
{
	for (u64 n = 0; n < (u64)times; n++) {
		if (stop_machine(look_around, &stopped, 0))
			return -EINVAL;
	}
	return 0;
}
