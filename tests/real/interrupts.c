// SPDX-License-Identifier: MIT
/* Tasks and interrupts that count, each on its CPU and by one instruction. */
#include <compiler.h>
#include <irqflags.h>
#include <percpu.h>

#define TIMES 2000

struct counted {
	u64 sum, expected;
	u32 open;             /* 1 = a round is under way */
};

static DEFINE_PER_CPU(struct counted, counts);

s64 interrupts_begin(void);
s64 interrupts_all_counted(void);
s64 interrupts_count(void *argument);
s64 interrupts_came(void *argument);
s64 interrupts_came_enabled(void *argument);
s64 interrupts_came_by_nmi(void *argument);

static void add(u64 value)
{
	struct counted *here = this_cpu_ptr(counts);

	this_cpu_add(&here->expected, value);
	this_cpu_add(&here->sum, value);
}

s64 interrupts_begin(void)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		WRITE_ONCE(per_cpu_ptr(counts, cpu)->open, 1);
	return 0;
}

s64 interrupts_all_counted(void)
{
	s64 wrong = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		const struct counted *there = per_cpu_ptr(counts, cpu);

		WRITE_ONCE(per_cpu_ptr(counts, cpu)->open, 0);
		wrong |= there->sum ^ there->expected;
	}
	return wrong;
}

s64 interrupts_count(void *argument)
{
	for (u32 n = 0; n < TIMES; n++)
		add((u64)argument);
	return irqs_disabled() || in_interrupt() || preempt_count();
}

s64 interrupts_came(void *argument)
{
	add((u64)argument);
	return !in_interrupt() || in_nmi() || !irqs_disabled() || !this_cpu_ptr(counts)->open;
}

s64 interrupts_came_enabled(void *argument)
{
	u32 depth = this_cpu()->irq_depth;

	local_irq_enable();
	for (u32 n = 0; n < TIMES; n++)
		add((u64)argument);
	local_irq_disable();
	return this_cpu()->irq_depth != depth || in_nmi() || !this_cpu_ptr(counts)->open;
}

s64 interrupts_came_by_nmi(void *argument)
{
	add((u64)argument);
	return !in_nmi() || !irqs_disabled() || !preempt_count() || !this_cpu_ptr(counts)->open;
}
