/* SPDX-License-Identifier: MIT */
/* A task: an OS thread of its CPU's process on the real machine, a fiber on the virtual one. */
#ifndef SHM_LAYOUT_TASK_H
#define SHM_LAYOUT_TASK_H

#include "finding.h"

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

enum task_state {
	TASK_FREE,            /* the slot is unused; its thread may exist and wait */
	TASK_RUNNING,         /* on the run queue, or running */
	TASK_BLOCKED,         /* waits for a wake-up */
	TASK_DEAD,            /* its function returned */
};

enum task_class { TASK_IDLE, TASK_NORMAL, TASK_STOPPER };

/* What a task (or a spinning CPU) waits for: the watchdog reads this. */
enum wait_kind {
	WAIT_NONE,
	WAIT_MUTEX,           /* object = mutex; value = owner task index + 1 */
	WAIT_COMPLETION,      /* object = completion */
	WAIT_SPINLOCK,        /* object = lock; value = owner cpu + 1 */
	WAIT_CROSS_CALL,      /* object = call data; value = mask of cpus called */
	WAIT_GRACE_PERIOD,    /* object = rcu state; value = mask of cpus not reported */
	WAIT_STOP_MACHINE,    /* object = multi_stop data; value = state waited in */
	WAIT_POKE_REFS,       /* object = cpu's reference count */
	WAIT_RWSEM,           /* object = rw_semaphore; value = its writer's task index + 1 */
	WAIT_RCU_TASKS,       /* object = rcu_tasks; held by those with TASKS_RCU_HOLDOUT */
	WAIT_RCU_TASKS_TRACE, /* object = rcu_tasks; held by those with TRC_HOLDOUT */
	WAIT_SRCU,            /* object = srcu_struct; value = mask of cpus with readers left */
	WAIT_RWLOCK,          /* object = rwlock; value = its writer's cpu + 1 */
	WAIT_SEQCOUNT,        /* object = seqcount; value = its writer's cpu + 1, 0 = not known */
	WAIT_PERCPU_RWSEM,    /* object = percpu_rw_semaphore; value = its writer, as for rwsem */
	WAIT_RCU_SYNC,        /* object = rcu_sync, whose grace period another one waits for */
	WAIT_WORK,            /* a kernel thread without work: never a hang */
	WAIT_TIMEOUT,         /* a timer at the latest: never a hang; value = when, jiffies */
	WAIT_TIMER,           /* object = timer; value = cpu + 1 that runs its function */
	WAIT_FLUSH,           /* object = work, or its queue; value = its worker's index + 1 */
	WAIT_QUEUE,           /* object = wait queue */
	WAIT_IRQ_WORK,        /* object = irq_work */
	WAIT_KINDS
};

struct wait_note {
	u32 kind;             /* enum wait_kind; WAIT_NONE = does not wait */
	u32 pad;
	u64 object;           /* address */
	u64 value;            /* see enum wait_kind */
	u64 since;            /* machine time, ns */
};

struct task_struct {
	u32 index;            /* place in machine.task; never changes */
	u32 cpu;              /* its CPU; set at creation */
	u32 state;            /* enum task_state; under the CPU's run queue lock */
	u32 class;            /* enum task_class */
	char name[32];        /* NUL-terminated */

	struct list_head run; /* on cpu->runqueue; under its lock */
	u32 on_rq;            /* 1 = queued or running; under the run queue lock */
	u32 park;             /* real machine: futex, 1 = go */
	u32 user;             /* 1 = belongs to the harness: the run ends when all have */
	u32 kthread;          /* KTHREAD_*; atomic, anyone */

	s64 (*function)(void *);
	void *argument;
	s64 result;           /* what function returned; valid when TASK_DEAD */

	/* Its own, or its CPU's, alone; who watches reads. */
	u32 has_thread;       /* 1 = a thread waits in or runs this slot; its CPU writes */
	u32 preempted;        /* 1 = an interrupt took the CPU from it; its CPU writes */

	/* Of those, what no interrupt looks at: for who watches, and for its own schedule(). */
	u32 keeps;            /* locks that it stands in line for, or holds: its CPU stays */
	u32 pad;
	u64 nvcsw;            /* voluntary switches; its CPU adds */
	u64 nivcsw;           /* involuntary switches; its CPU adds */
	u64 progress;         /* the harness counts here; 0 growth for long = no progress */
	struct wait_note wait;/* its task writes, the watchdog reads */
	u64 parked_frame;     /* frame pointer while it does not run, for reports; 0 = runs */

	u64 worker;           /* its struct worker, told when it sleeps; 0 = none; it writes */
	u32 rcu_nesting;      /* sections of preemptible RCU that it is in; itself, and handlers */
	u32 rcu_special;      /* RCU_SPECIAL_*; likewise, and the scheduler of its CPU */

	s32 tid;              /* OS thread id; its thread writes; 0 = none */
	u32 tasks_rcu;        /* TASKS_RCU_*; atomic */
	u64 stack;            /* address of the lowest byte */
	u64 trap_stack;       /* address of the lowest byte */
	u32 trc_nesting;      /* see rcu_tasks_trace.h; its CPU writes */
	u32 trc_special;      /* TRC_*; atomic */
	u64 scratch[4];       /* the harness's own */
} __cacheline_aligned;

#define KTHREAD_SHOULD_STOP 0x1  /* asked to end */
#define KTHREAD_SHOULD_PARK 0x2  /* asked to park */
#define KTHREAD_IS_PARKED 0x4    /* does nothing until it is unparked */
#define KTHREAD_PER_CPU 0x8      /* belongs to its CPU: it runs until that is offline */

#define TASKS_RCU_HOLDOUT 0x1 /* a grace period of RCU-tasks waits for it */
#define TASKS_RCU_WAITS 0x2   /* waits without switching: not in a reader */

#define TRC_UNCHECKED 0x1     /* a grace period of tasks-trace has still to look at it */
#define TRC_NEED_QS 0x2       /* it was seen in a reader: whose end is waited for */
#define TRC_HOLDOUT (TRC_UNCHECKED | TRC_NEED_QS)
#define TRC_BLOCKED 0x4       /* its CPU's list of readers that were switched out has it */

/* What the end of its outermost section of preemptible RCU has to see to. */
#define RCU_SPECIAL_NEED_QS 0x1 /* a grace period waits for its CPU */
#define RCU_SPECIAL_BLOCKED 0x2 /* it is in the list of readers that lost their CPU */
#define RCU_SPECIAL_USER 0x4  /* preempt=none: it is as good as in user mode */

#define TASK_PRIVATE_START offsetof(struct task_struct, has_thread)
#define TASK_PRIVATE_END offsetof(struct task_struct, tid)
#define TASK_NOTES_START offsetof(struct task_struct, keeps)
#define TASK_NOTES_END offsetof(struct task_struct, worker)

/* Bit n: an interrupt leaves word n, of 4 bytes, of what is private as it was. */
#define TASK_WORD(field) (1UL << ((offsetof(struct task_struct, field) - TASK_PRIVATE_START) / 4))
#define TASK_RESTORED \
	(TASK_WORD(has_thread) | TASK_WORD(preempted) | TASK_WORD(worker) | TASK_WORD(rcu_nesting))

static_assert(sizeof(struct task_struct) % CACHE_LINE == 0, "tasks share no line");

#endif
