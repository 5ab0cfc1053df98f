/* SPDX-License-Identifier: MIT */
/* RCU whose readers are regions with preemption (or interrupts) off. */
#ifndef KERNEL_RCU_H
#define KERNEL_RCU_H

#include <irqflags.h>

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

static inline void rcu_read_lock(void)
{
	preempt_disable();
}

static inline void rcu_read_unlock(void)
{
	preempt_enable();
}

#define rcu_dereference(p) smp_load_acquire(&(p))
#define rcu_assign_pointer(p, v) smp_store_release(&(p), (v))

/* Return when every reader that had begun has ended. May sleep. */
void synchronize_rcu(void);

/* Run head->func(head) after a grace period, from a task. Any context. */
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

/* Return when every callback queued before has run. May sleep. */
void rcu_barrier(void);

/* Called by the scheduler: this CPU passes through a quiescent state. */
void rcu_note_context_switch(void);

/* Called when the preemption count has fallen to 0 and a report is owed. */
void rcu_report_late_qs(void);

/* This CPU is in no reader now, though it does not look so (a stopped CPU). */
void rcu_momentary_eqs(void);

/* Called at the end of an interrupt: a quiescent state that is owed may be possible now. */
void rcu_irq_exit_check(void);

/* Called around idle, with interrupts off: RCU does not watch in between. */
void rcu_idle_enter(void);
void rcu_idle_exit(void);

/*
 * Called around the rest of a CPU that is offline, with interrupts off: until the first of
 * them it may be in a reader, though it is no longer online.
 */
void rcutree_report_cpu_dead(void);
void rcutree_report_cpu_starting(void);

/* An NMI begins: RCU watches, also if the CPU is idle; then true, and rcu_nmi_exit() ends it. */
bool rcu_nmi_enter(void);
void rcu_nmi_exit(void);

void rcu_init(void);

#endif
