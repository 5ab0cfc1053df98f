/* SPDX-License-Identifier: MIT */
/*
 * RCU whose readers say where they begin and end, and may sleep and be preempted in between.
 *
 * A task counts its readers, without a barrier: who wants to know interrupts its CPU, or looks
 * while the task does not run. The end of the outermost reader takes three steps: the count says
 * that it is ending, then the task looks whether somebody waits for it, then the count is 0. An
 * interrupt before the first step finds a reader, and asks it to tell of its end; one that comes
 * later finds that it has ended. So nobody asks a task that has already looked.
 *
 * Readers of an interrupt are counted on top, and leave the count as they found it.
 */
#ifndef KERNEL_RCU_TASKS_TRACE_H
#define KERNEL_RCU_TASKS_TRACE_H

#include <kernel/rcu.h>

/* task->trc_nesting: readers inside, plus this while the outermost one is ending. */
#define TRC_ENDING ((u32)1 << 31)

/* Readers that @nesting says are inside. */
static inline u32 trc_readers(u32 nesting)
{
	return nesting & ~TRC_ENDING;
}

void rcu_read_unlock_trace_special(u32 nesting);

/*
 * A reader of the running task begins; they nest, also in interrupts. Not where RCU does not
 * watch.
 */
static inline void rcu_read_lock_trace(void)
{
	struct task_struct *task = current;

	WRITE_ONCE(task->trc_nesting, READ_ONCE(task->trc_nesting) + 1);
	barrier(); /* The count before the section, for interrupts of this CPU. */
	machine_reader_begins(TRACE_READERS);
}

static inline void rcu_read_unlock_trace(void)
{
	struct task_struct *task = current;
	u32 nesting = READ_ONCE(task->trc_nesting) - 1;

	machine_reader_ends(TRACE_READERS);
	barrier(); /* The section before the count, likewise. */
	if (trc_readers(nesting)) {
		WRITE_ONCE(task->trc_nesting, nesting);
		return;
	}
	WRITE_ONCE(task->trc_nesting, TRC_ENDING);
	barrier(); /* From now on nobody asks for what is looked for next. */
	if (unlikely(READ_ONCE(task->trc_special)))
		rcu_read_unlock_trace_special(nesting);
	else
		WRITE_ONCE(task->trc_nesting, nesting);
}

/* Is the running task in a reader? */
static inline bool rcu_read_lock_trace_held(void)
{
	return trc_readers(READ_ONCE(current->trc_nesting));
}

/* Return when every reader that had begun has ended; RCU's own have, too. May sleep. */
void synchronize_rcu_tasks_trace(void);

/* Run head->func(head) after such a grace period, from a task. Any context. */
void call_rcu_tasks_trace(struct rcu_head *head, rcu_callback_t func);

/* Return when every callback queued before has run. May sleep. */
void rcu_barrier_tasks_trace(void);

/* Before the first callback: make the kernel thread that runs them, if there is none. Task. */
void rcu_tasks_trace_start(void);

/* The running task's @function has returned: report a reader that it has left. */
void rcu_tasks_trace_exit(const void *function);

/* Called by the scheduler, interrupts off: @task loses its CPU in a reader. */
void rcu_tasks_trace_switched_out(struct task_struct *task);

#endif
