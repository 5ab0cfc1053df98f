/* SPDX-License-Identifier: MIT */
/*
 * RCU. Its readers are sections between rcu_read_lock() and rcu_read_unlock(), and regions with
 * preemption or interrupts off; a grace period waits for both.
 *
 * On a machine with preempt=full the former may be preempted, and count their nesting in the
 * task. With preempt=none they cost nothing: a CPU that switches tasks, idles or calls
 * cond_resched() is in no reader, so none of these may be done in one.
 */
#ifndef KERNEL_RCU_H
#define KERNEL_RCU_H

#include <irqflags.h>

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

typedef void (*rcu_callback_t)(struct rcu_head *head);

/* The outermost section has ended, and something waits for that. */
void rcu_read_unlock_special(void);

/* Nests. Any context. */
static inline void rcu_read_lock(void)
{
	struct task_struct *task = current_stable;

	if (preempt_is_full())
		WRITE_ONCE(task->rcu_nesting, task->rcu_nesting + 1);
	barrier();
	machine_reader_begins(RCU_READERS);
}

static inline void rcu_read_unlock(void)
{
	struct task_struct *task = current_stable;

	machine_reader_ends(RCU_READERS);
	barrier();
	if (preempt_is_full()) {
		u32 nesting = task->rcu_nesting - 1;

		/* First the count: an interrupt that comes between sees to what it owes itself. */
		WRITE_ONCE(task->rcu_nesting, nesting);
		barrier();
		if (!nesting && unlikely(READ_ONCE(task->rcu_special)))
			rcu_read_unlock_special();
	}
}

/* For who also needs its CPU's data, or must not be preempted. */
static inline void rcu_read_lock_sched(void)
{
	preempt_disable();
}

static inline void rcu_read_unlock_sched(void)
{
	preempt_enable();
}

/* False: surely in no section of rcu_read_lock(). With preempt=none nobody knows. */
static inline bool rcu_read_lock_held(void)
{
	return !preempt_is_full() || READ_ONCE(current->rcu_nesting);
}

#define rcu_dereference(p) smp_load_acquire(&(p))
#define rcu_assign_pointer(p, v) smp_store_release(&(p), (v))

/* Return when every reader that had begun has ended. May sleep. */
void synchronize_rcu(void);

/* The same, not behind grace periods that are under way for others. */
void synchronize_rcu_expedited(void);

/*
 * A number that tells whether a grace period has begun and ended since: poll_ says so, once it
 * has; cond_ waits for it unless it has. start_poll_ sees to it that there is one, get_ does not.
 * Context: any, but an NMI; cond_ may sleep.
 */
u64 get_state_synchronize_rcu(void);
u64 start_poll_synchronize_rcu(void);
bool poll_state_synchronize_rcu(u64 cookie);
void cond_synchronize_rcu(u64 cookie);

/* Run head->func(head) after a grace period, from a task. Any context. */
void call_rcu(struct rcu_head *head, rcu_callback_t func);

/* Free @ptr after a grace period; @member is an rcu_head within its first 4096 bytes. */
#define kfree_rcu(ptr, member) \
	call_rcu(&(ptr)->member, (rcu_callback_t)offsetof(__typeof__(*(ptr)), member))

/* Return when every callback queued before has run. May sleep. */
void rcu_barrier(void);

/* How many grace periods have ended, and how many expedited ones. */
u64 rcu_get_gp_seq(void);
u64 rcu_exp_batches_completed(void);

/* Called by the scheduler, interrupts off: this CPU passes through a quiescent state. */
void rcu_note_context_switch(void);

/* preempt=none: called by cond_resched() when a report is owed. */
void rcu_all_qs(void);

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

/*
 * A task that goes on for long, and whose CPU is in no reader meanwhile unless it is
 * interrupted: what user mode is elsewhere. Context: task.
 */
void rcu_user_enter(void);
void rcu_user_exit(void);

/* An NMI begins: RCU watches, also if the CPU is idle; then true, and rcu_nmi_exit() ends it. */
bool rcu_nmi_enter(void);
void rcu_nmi_exit(void);

/*
 * For reports, of a note of WAIT_GRACE_PERIOD: CPUs that hold it now, a mask; the first task that
 * does, because it lost its CPU in a reader, and how many.
 */
u64 rcu_unreported(const struct wait_note *note);
const struct task_struct *rcu_blocked_holder(const struct wait_note *note, u32 *count);

void rcu_init(void);

#endif
