// SPDX-License-Identifier: MIT
/* The kinds of RCU that rcu_torture knows, and how a section of each begins and ends. */
#include <kernel/cpu_hotplug.h>
#include <kernel/rcu_tasks.h>
#include <kernel/rcu_tasks_rude.h>
#include <kernel/rcu_tasks_trace.h>
#include <kernel/srcu.h>
#include <kernel/stop_machine.h>
#include <kernel/workqueue.h>

#include "rcu_torture.h"

static u32 lock_rcu(void)
{
	rcu_read_lock();
	return 0;
}

static void unlock_rcu(u32 cookie)
{
	rcu_read_unlock();
}

static u32 lock_preempt(void)
{
	preempt_disable();
	return 0;
}

static void unlock_preempt(u32 cookie)
{
	preempt_enable();
}

static u32 lock_trace(void)
{
	rcu_read_lock_trace();
	return 0;
}

static void unlock_trace(u32 cookie)
{
	rcu_read_unlock_trace();
}

/* A task is a reader of RCU-tasks between any two of its switches. */
static u32 lock_nothing(void)
{
	barrier();
	return 0;
}

static void unlock_nothing(u32 cookie)
{
	barrier();
}

/* The busted flavour: a grace period that waits for nobody. */
static void wait_for_nobody(void)
{
	barrier();
}

static void call_at_once(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	func(head);
}

/* The trivial flavour: the caller would go to each CPU in turn; here the stopper does. */
static int be_here(void *unused)
{
	return 0;
}

static void visit_each_cpu(void)
{
	int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu)
		stop_one_cpu(cpu, be_here, NULL);
	cpus_read_unlock();
}

DEFINE_STATIC_SRCU(domain);
DEFINE_STATIC_SRCU(fast_domain);

static u32 lock_srcu(void)
{
	return srcu_read_lock(&domain);
}

static void unlock_srcu(u32 cookie)
{
	srcu_read_unlock(&domain, cookie);
}

static u32 down_srcu(void)
{
	return srcu_down_read(&domain);
}

static void up_srcu(u32 cookie)
{
	srcu_up_read(&domain, cookie);
}

static void synchronize(void)
{
	synchronize_srcu(&domain);
}

static void synchronize_expedited(void)
{
	synchronize_srcu_expedited(&domain);
}

static u64 srcu_get_state(void)
{
	return get_state_synchronize_srcu(&domain);
}

static u64 srcu_start_poll(void)
{
	return start_poll_synchronize_srcu(&domain);
}

static bool srcu_poll(u64 state)
{
	return poll_state_synchronize_srcu(&domain, state);
}

static void call_domain(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	call_srcu(&domain, head, func);
}

static void drain_domain(void)
{
	srcu_barrier(&domain);
}

static u64 srcu_sequence(void)
{
	return rcu_seq_ctr(rcu_seq_current(&domain.seq));
}

static u32 lock_srcu_fast(void)
{
	return srcu_read_lock_fast(&fast_domain);
}

static void unlock_srcu_fast(u32 cookie)
{
	srcu_read_unlock_fast(&fast_domain, cookie);
}

static void synchronize_fast(void)
{
	synchronize_srcu(&fast_domain);
}

static u64 srcu_fast_sequence(void)
{
	return rcu_seq_ctr(rcu_seq_current(&fast_domain.seq));
}

#define EACH_SEGMENT (SEGMENT_LOCK | SEGMENT_NESTED | SEGMENT_PREEMPT | SEGMENT_IRQ)

/* In the order of FLAVOURS of rcu_torture.py. */
static const struct torture_flavour flavours[] = {
	{ /* rcu */
		.lock = lock_rcu, .unlock = unlock_rcu,
		.synchronize = synchronize_rcu, .expedited = synchronize_rcu_expedited,
		.get_state = get_state_synchronize_rcu, .start_poll = start_poll_synchronize_rcu,
		.poll = poll_state_synchronize_rcu, .conditional = cond_synchronize_rcu,
		.call = call_rcu, .drain = rcu_barrier, .sequence = rcu_get_gp_seq,
		.segments = EACH_SEGMENT, .in_interrupts = true,
	},
	{ /* busted */
		.lock = lock_rcu, .unlock = unlock_rcu,
		.synchronize = wait_for_nobody, .call = call_at_once,
		.segments = EACH_SEGMENT, .in_interrupts = true,
	},
	{ /* trivial */
		.lock = lock_preempt, .unlock = unlock_preempt,
		.synchronize = visit_each_cpu,
		.segments = EACH_SEGMENT, .in_interrupts = true,
	},
	{ /* tasks */
		.start = rcu_tasks_start,
		.lock = lock_nothing, .unlock = unlock_nothing,
		.synchronize = synchronize_rcu_tasks,
		.call = call_rcu_tasks, .drain = rcu_barrier_tasks,
		.segments = EACH_SEGMENT,
	},
	{ /* tasks-rude */
		.start = rcu_tasks_rude_start,
		.lock = lock_preempt, .unlock = unlock_preempt,
		.synchronize = synchronize_rcu_tasks_rude,
		.call = call_rcu_tasks_rude, .drain = rcu_barrier_tasks_rude,
		.segments = EACH_SEGMENT, .in_interrupts = true,
	},
	{ /* tasks-tracing */
		.start = rcu_tasks_trace_start,
		.lock = lock_trace, .unlock = unlock_trace,
		.synchronize = synchronize_rcu_tasks_trace,
		.call = call_rcu_tasks_trace, .drain = rcu_barrier_tasks_trace,
		.segments = SEGMENT_LOCK | SEGMENT_NESTED, .may_sleep = true,
		.in_interrupts = true,
	},
	{ /* srcu */
		.start = workqueue_start,
		.lock = lock_srcu, .unlock = unlock_srcu, .down = down_srcu, .up = up_srcu,
		.synchronize = synchronize, .expedited = synchronize_expedited,
		.get_state = srcu_get_state, .start_poll = srcu_start_poll, .poll = srcu_poll,
		.call = call_domain, .drain = drain_domain, .sequence = srcu_sequence,
		.segments = SEGMENT_LOCK, .always = SEGMENT_LOCK, .may_sleep = true,
		.in_interrupts = true,
	},
	{ /* srcu-fast */
		.lock = lock_srcu_fast, .unlock = unlock_srcu_fast,
		.synchronize = synchronize_fast, .sequence = srcu_fast_sequence,
		.segments = SEGMENT_LOCK, .always = SEGMENT_LOCK, .may_sleep = true,
		.in_interrupts = true,
	},
	{ /* busted-srcu: its readers count on what SRCU does not wait for */
		.start = workqueue_start,
		.lock = lock_srcu, .unlock = unlock_srcu, .down = down_srcu, .up = up_srcu,
		.synchronize = synchronize, .expedited = synchronize_expedited,
		.call = call_domain, .drain = drain_domain, .sequence = srcu_sequence,
		.segments = EACH_SEGMENT, .in_interrupts = true,
	},
};

const struct torture_flavour *torture_flavour(const struct torture *torture)
{
	return &flavours[torture->flavour];
}

static void segments_begin(struct torture_section *section, u32 segments)
{
	if (segments & SEGMENT_LOCK)
		section->cookie[0] = section->flavour->lock();
	if (segments & SEGMENT_NESTED)
		section->cookie[1] = section->flavour->lock();
	if (segments & SEGMENT_PREEMPT)
		preempt_disable();
	if (segments & SEGMENT_IRQ)
		section->irq_flags = local_irq_save();
}

static void segments_end(struct torture_section *section, u32 segments)
{
	if (segments & SEGMENT_IRQ)
		local_irq_restore(section->irq_flags);
	if (segments & SEGMENT_PREEMPT)
		preempt_enable();
	if (segments & SEGMENT_NESTED)
		section->flavour->unlock(section->cookie[1]);
	if (segments & SEGMENT_LOCK)
		section->flavour->unlock(section->cookie[0]);
}

/* What keeps it a reader from now on begins before anything else ends. */
void section_change(struct torture_section *section, u32 segments)
{
	u32 before = section->segments;

	segments_begin(section, segments & ~before);
	section->segments = segments;
	segments_end(section, before & ~segments);
}
