/* SPDX-License-Identifier: MIT */
/*
 * What the flavours of RCU-tasks have in common: who waits for a grace period shares it with
 * others, and callbacks wait for one in queues that a kernel thread serves.
 */
#ifndef KERNEL_RCU_TASKS_CALLBACKS_H
#define KERNEL_RCU_TASKS_CALLBACKS_H

#include <kernel/completion.h>
#include <kernel/irq_work.h>
#include <kernel/mutex.h>
#include <kernel/rcu_segcblist.h>

/* A queue of callbacks: of one CPU, or the first one, of all. */
struct rcu_tasks_queue {
	spinlock_t lock;           /* of all here; its holder has interrupts off */
	u32 n_lock_retries;        /* who found it locked in this jiffy */
	u64 jiffy;
	struct rcu_segcblist cblist;
	struct rcu_head barrier_head;
	struct rcu_tasks *rtp;     /* of barrier_head; who queues that writes */
} __cacheline_aligned;

/* A flavour. */
struct rcu_tasks {
	const char *name;          /* of its kernel thread */
	const void *readers;       /* whom it waits for, as the machine's record names them */
	void (*wait_gp)(void);     /* a grace period, from its beginning to its end; under mutex */
	struct mutex mutex;        /* held by the leader of a grace period */
	u64 seq;                   /* of grace periods, see rcu_seq.h; under mutex, all read */

	struct task_struct *thread;/* runs callbacks; NULL = not started; under thread_mutex */
	struct mutex thread_mutex;
	struct irq_work waking;    /* of the thread */
	spinlock_t limits_lock;    /* of those who change a limit */
	u32 enqueue_lim;           /* queues that callbacks go to: 1, or one for each CPU */
	u32 dequeue_lim;           /* queues that are looked at: as many, or more */
	struct rcu_tasks_queue *queues; /* one for each CPU; never changes */

	struct mutex barrier_mutex;/* one barrier at a time */
	u64 barrier_seq;           /* how many, see rcu_seq.h; under barrier_mutex, all read */
	u32 barrier_left;          /* queues that it waits for, and 1; atomic */
	struct completion barrier_done;
};

/* In an interrupt: the thread of the flavour whose work it is. */
void rcu_tasks_wake_thread(struct irq_work *work);

#define DEFINE_RCU_TASKS(flavour, thread_name, domain, wait) \
	static struct rcu_tasks_queue flavour##_queues[MAX_CPUS]; \
	static struct rcu_tasks flavour = { \
		.name = (thread_name), .readers = (domain), .wait_gp = (wait), \
		.mutex = MUTEX_INIT((flavour).mutex), \
		.thread_mutex = MUTEX_INIT((flavour).thread_mutex), \
		.waking = IRQ_WORK_INIT(rcu_tasks_wake_thread), \
		.barrier_mutex = MUTEX_INIT((flavour).barrier_mutex), \
		.enqueue_lim = 1, .dequeue_lim = 1, .queues = flavour##_queues, \
	}

/* Set before the first callback, if at all. */
extern u32 rcu_task_enqueue_lim;   /* queues to begin with: more than 1 = one for each CPU */
extern u32 rcu_task_contend_lim;   /* one for each CPU, if more find theirs locked in a jiffy */
extern u32 rcu_task_collapse_lim;  /* one queue again, if there are no more callbacks */

/* Return when every reader of @rtp that had begun has ended. Context: task, may sleep. */
void synchronize_rcu_tasks_generic(struct rcu_tasks *rtp);

/* Any context but an NMI. */
void call_rcu_tasks_generic(struct rcu_head *head, rcu_callback_t func, struct rcu_tasks *rtp);

/* Return when all callbacks queued before have run. Context: task, may sleep. */
void rcu_barrier_tasks_generic(struct rcu_tasks *rtp);

/* Context: task. */
void rcu_spawn_tasks_kthread_generic(struct rcu_tasks *rtp);

#endif
