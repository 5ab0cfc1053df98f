// SPDX-License-Identifier: MIT
/*
 * What traced functions call, by way of text: every tracer that wants the function, or the one
 * whose trampoline it was, with protection. Both run with preemption off, also where RCU does
 * not watch: so what they look at is freed by RCU-tasks-rude.
 */
#include <irqflags.h>
#include <kernel/ftrace_internal.h>

struct ftrace_ops ftrace_list_end;
struct ftrace_ops *ftrace_ops_list = &ftrace_list_end;
struct ftrace_stats ftrace_stats __statistics;

/*
 * By task, a bit for each context that a callback runs in. An interrupt puts back what it has
 * changed before it returns to who it came into.
 */
static u32 trace_recursion[MAX_TASKS];

#define TRACE_TASK 0x1
#define TRACE_NMI 0x2
#define TRACE_IRQ(depth) (0x2u << ((depth) < 30 ? (depth) : 30)) /* depth: 1 or more */

static u32 trace_context(void)
{
	if (in_nmi())
		return TRACE_NMI;
	return in_interrupt() ? TRACE_IRQ(this_cpu()->irq_depth) : TRACE_TASK;
}

/* 0 = a callback runs in this context already. */
static u32 trace_test_and_set_recursion(void)
{
	u32 *bits = &trace_recursion[current->index], context = trace_context();

	if (READ_ONCE(*bits) & context) {
		atomic_inc(&ftrace_stats.recursions);
		return 0;
	}
	WRITE_ONCE(*bits, *bits | context);
	barrier();
	return context;
}

static void trace_clear_recursion(u32 context)
{
	u32 *bits = &trace_recursion[current->index];

	barrier();
	WRITE_ONCE(*bits, *bits & ~context);
}

static bool rcu_is_watching(void)
{
	return !READ_ONCE(this_cpu()->in_eqs);
}

static bool may_call(const struct ftrace_ops *op)
{
	return !(READ_ONCE(op->flags) & FTRACE_OPS_FL_RCU) || rcu_is_watching();
}

bool ftrace_ops_test(struct ftrace_ops *op, u64 ip)
{
	return ftrace_filter_has(smp_load_acquire(&op->filter), ip);
}

void ftrace_ops_list_func(u64 ip, u64 parent_ip, struct ftrace_ops *unused,
			  struct ftrace_regs *fregs)
{
	u32 context = trace_test_and_set_recursion();
	struct ftrace_ops *op;

	if (!context)
		return;
	preempt_disable();
	for (op = smp_load_acquire(&ftrace_ops_list); op != &ftrace_list_end;
	     op = smp_load_acquire(&op->next)) {
		if (may_call(op) && ftrace_ops_test(op, ip))
			op->func(ip, parent_ip, op, fregs);
	}
	preempt_enable();
	trace_clear_recursion(context);
}

void ftrace_ops_assist_func(u64 ip, u64 parent_ip, struct ftrace_ops *op,
			    struct ftrace_regs *fregs)
{
	u32 context = trace_test_and_set_recursion();

	if (!context)
		return;
	preempt_disable();
	if (may_call(op))
		op->func(ip, parent_ip, op, fregs);
	preempt_enable();
	trace_clear_recursion(context);
}

/* Counted before anything that sleeps; who has not come so far is held by RCU-tasks. */
void ftrace_ops_sleep_func(u64 ip, u64 parent_ip, struct ftrace_ops *op,
			   struct ftrace_regs *fregs)
{
	atomic_inc(&op->active);
	op->func(ip, parent_ip, op, fregs);
	if (atomic_dec_and_test(&op->active))
		complete(&op->left);
}
