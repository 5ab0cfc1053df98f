/* SPDX-License-Identifier: MIT */
/* Between workqueue.c (items and queues), workqueue_pool.c (who runs them) and the scheduler. */
#ifndef KERNEL_WORKQUEUE_INTERNAL_H
#define KERNEL_WORKQUEUE_INTERNAL_H

#include <kernel/mutex.h>
#include <kernel/workqueue.h>

#define UNBOUND_POOL MAX_CPUS /* those below are of the CPU with that number */
#define POOLS (MAX_CPUS + 1)

/* Runs works of its pool. All but what is said below under the lock of the pool. */
struct worker {
	struct worker_pool *pool;
	struct task_struct *task;
	struct work_struct *current_work; /* NULL = runs none; only its address is used */
	work_func_t current_func;
	struct pool_workqueue *current_pwq;
	u32 current_color;
	u32 counts;           /* 1 = pool->nr_running counts it */
	u32 sleeps;           /* 1 = it sleeps in a function, and is not counted meanwhile */
	struct list_head scheduled; /* that no other worker may run, since it runs them */
	struct list_head idle;/* of pool->idle; empty = it is not */
};

struct worker_pool {
	u32 lock;             /* of all below; interrupts off */
	u32 id;               /* place in pools[]; never changes */
	u32 ready;            /* 1 = it has workers; under start_mutex */
	u32 closed;           /* 1 = its CPU goes down: works are for another one */
	u32 nr_workers;
	u32 nr_running;       /* workers that run something and do not sleep; bound pools only */
	struct list_head works; /* to be run, the first one first */
	struct list_head idle;/* workers, the last one first */
	struct list_head flushers; /* struct flusher */
	struct worker worker[POOL_WORKERS];
};

/* A queue's share of one pool. Under the lock of the pool. */
struct pool_workqueue {
	struct worker_pool *pool; /* this and wq never change */
	struct workqueue_struct *wq;
	u32 nr_active;        /* on the pool's list, or run */
	u32 color;            /* of what is queued now: 0 or 1 */
	u32 in_flight[2];     /* not done yet, by color */
	u32 flushed;          /* 1 = a flush waits for the other color */
	struct list_head inactive; /* as many as there may be are under way */
};

struct workqueue_struct {
	const char *name;     /* this, flags, max_active, nr_pwqs and pwq never change */
	u32 flags;            /* WQ_* */
	u32 max_active;
	u32 nr_pwqs;          /* CPUs; 1 = unbound */
	u32 flush_left;       /* shares that a flush waits for, plus 1 for itself; atomic */
	struct task_struct *flusher; /* woken by the last of them; who flushes writes */
	struct mutex flush_mutex; /* one flush at a time */
	struct pool_workqueue *pwq;
};

/* Who waits for an item: its running if it does not stand on a list. Pool's lock. */
struct flusher {
	struct list_head list;
	struct work_struct *work;
	struct task_struct *task;
	u32 runs;             /* 1 = for the run that goes on */
	u32 done;             /* 1 = it may go, with this; who completes writes */
};

extern struct worker_pool pools[POOLS];

u32 pool_lock(struct worker_pool *pool);
void pool_unlock(struct worker_pool *pool, u32 irqs);

/* Under the lock: its worker that runs @work now, or NULL. */
struct worker *find_worker_executing_work(struct worker_pool *pool, struct work_struct *work);
/* Under the lock: put it where its turn comes, and see that somebody runs it. */
void insert_work(struct pool_workqueue *pwq, struct work_struct *work);
/* Under the lock: take it off again, before its turn has come. */
void remove_work(struct work_struct *work);

/* Under the lock: it stands on one of the lists of @pool. */
bool work_is_on_list(struct work_struct *work, const struct worker_pool *pool);

/* The caller has the item, in transit, and gives it to @cpu; interrupts are off. */
void __queue_work(int cpu, struct workqueue_struct *wq, struct work_struct *work);

/*
 * Have the item, in transit, by and by; *@irqs is what interrupts were, and they are off. Its
 * timer is @timer, or NULL. 1 = it was pending, 0 = it was idle; -EBUSY = it is being cancelled.
 */
int grab_work(struct work_struct *work, struct timer_list *timer, u32 *irqs);
/* Who has it lets it go: it is idle. */
void release_work(struct work_struct *work);

/* The worker that this task is, or NULL. */
struct worker *current_worker(void);

/* Called by hotplug on @cpu, which takes no tasks: it goes down when all has run, or comes up. */
int pool_close(unsigned int cpu);
int pool_open(unsigned int cpu);

/* Make the workers of @pool, unless it has some. Context: task. */
void pool_start(struct worker_pool *pool);

/* Called by schedule() with interrupts off: a worker is about to sleep, maybe; it goes on. */
void wq_worker_sleeping(struct task_struct *task);
void wq_worker_running(struct task_struct *task);

#endif
