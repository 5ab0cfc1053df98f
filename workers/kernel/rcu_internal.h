/* SPDX-License-Identifier: MIT */
/* Between the files of RCU. */
#ifndef KERNEL_RCU_INTERNAL_H
#define KERNEL_RCU_INTERNAL_H

#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/rcu_seq.h>

/* Who a grace period is for: bits of rcu_cpu.need_qs and of what a blocked reader holds. */
#define RCU_FOR_ALL 0x1       /* struct rcu_state rcu */
#define RCU_FOR_HASTY 0x2     /* rcu_expedited */

struct rcu_state {
	u64 seq;                   /* rcu_seq.h, state 1 = under way; under gp_mutex, all read */
	u32 left;                  /* CPUs and tasks that hold it, plus 1 for the leader; atomic */
	u32 bit;                   /* RCU_FOR_*; never changes */
	struct mutex gp_mutex;     /* held by the leader */
	struct task_struct *leader;/* woken by the last reporter; the leader writes */
};

extern struct rcu_state rcu, rcu_expedited;

/* The one that @note is about; NULL = it waits for something else. */
const struct rcu_state *rcu_state_of(const struct wait_note *note);

/* One that held the grace periods @bits holds them no more. Any context but an NMI. */
void rcu_put_left(u32 bits);

/* The grace periods that wait for this CPU: RCU_FOR_*. */
u32 rcu_needs_this_cpu(void);

/* This CPU, which is in no reader of its own, reports if it has to; interrupts are off. */
void rcu_report_this_cpu(bool late);

/* rcu_preempt.c: @task is about to lose its CPU, or has deferred something; interrupts are off. */
void rcu_preempt_note_switch(struct task_struct *task);

/* @task is in no section any more: see to what it owes. Interrupts are off. */
void rcu_preempt_deferred_qs(struct task_struct *task);

/* Those that have lost their CPU in a reader hold the grace period of @state, which has begun. */
void rcu_preempt_hold(const struct rcu_state *state);

/* rcu_callbacks.c */
void rcu_callbacks_init(void);

#endif
