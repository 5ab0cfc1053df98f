/* SPDX-License-Identifier: MIT */
/* What a function that is called back must leave as it was. */
#ifndef KERNEL_BALANCE_H
#define KERNEL_BALANCE_H

#include <irqflags.h>

struct balance {
	u32 preempt_count;
	u32 irqs_off;
	u32 locks;            /* held, as far as the machine knows */
	u32 readers;          /* sections of preemptible RCU */
};

/* As a task is when it begins, and must be when it ends. */
#define TASK_BALANCE ((struct balance){ 0, 0, 0, 0 })

static inline struct balance balance_here(void)
{
	const struct cpu *cpu = this_cpu();

	return (struct balance){ cpu->preempt_count, cpu->irq_off, machine_locks_held(),
				 cpu->curr->rcu_nesting };
}

void report_unbalanced(const void *function, struct balance before, struct balance after);

/* @function has returned: report a section or lock that it has left, or ended too often. */
static inline void check_balance(const void *function, struct balance before)
{
	struct balance after = balance_here();

	if (unlikely(after.preempt_count != before.preempt_count ||
		     after.irqs_off != before.irqs_off || after.locks != before.locks ||
		     after.readers != before.readers))
		report_unbalanced(function, before, after);
}

#endif
