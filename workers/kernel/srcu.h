/* SPDX-License-Identifier: MIT */
/*
 * Sleepable RCU: readers of one domain, which may sleep, and grace periods that wait for them
 * alone.
 *
 * A reader counts itself in and out, on the CPU where it is and in the phase that it finds, by
 * increments that are single and not locked. Sums that are equal tell that nobody is inside.
 *
 * Barriers, by the letters of kernel/rcu/srcutree.c (v6.12):
 * A (updater): what was removed, and the sum of unlocks, before the sum of locks; pairs with B:
 *    who is not seen to have entered finds what is new. And with C: who is seen to have left
 *    has read before all that comes after.
 * B (reader): the lock count before the section. C (reader): the section before the unlock count.
 * D (updater): the flip before the next scan; pairs with C, so that a reader that comes back
 *    while it is scanned has seen the flip.
 * E (updater): the scan before the flip; pairs with B and C. The scan decides about the flip, so
 *    it holds without; kept, as there.
 */
#ifndef KERNEL_SRCU_H
#define KERNEL_SRCU_H

#include <finding.h>
#include <irqflags.h>
#include <kernel/completion.h>
#include <kernel/irq_work.h>
#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/rcu_segcblist.h>
#include <kernel/rcu_seq.h>
#include <kernel/sched.h>
#include <kernel/workqueue.h>

/* What kind of readers a domain has: the first one decides, others are reported. */
enum srcu_read_flavor {
	SRCU_READ_FLAVOR_NORMAL = 1,
	SRCU_READ_FLAVOR_NMI = 2,      /* also in NMIs */
	SRCU_READ_FLAVOR_FAST = 4,     /* without barriers */
};

/* One CPU's part of a domain. */
struct srcu_data {
	/* This CPU adds, and no other; updaters read.  By phase. */
	u64 lock[2];          /* readers that have entered here */
	u64 unlock[2];        /* readers that have left here */
	u64 pad[4];

	/* Callbacks that were queued here; ssp NULL = never any. */
	spinlock_t cb_lock;   /* interrupts off */
	struct rcu_segcblist cblist; /* under cb_lock; its length is read without */
	struct work_struct work; /* runs those that are ready */
	struct rcu_head barrier_head; /* of srcu_barrier(); under barrier_mutex */
	struct srcu_struct *ssp; /* under cb_lock */
} __cacheline_aligned;

/* Who is to be told when a reader that is in the way has left. */
struct srcu_waiter {
	struct list_head list; /* of all waiters, under their lock; next NULL = not on it */
	const struct srcu_struct *ssp; /* the domain; under that lock, like phase and key */
	u64 key;              /* domain and phase in one */
	u32 phase;
	u32 pad;
	u64 asked;            /* CPUs that tell; who waits */
	u64 wanted;           /* those that are waited for; 0 = any of them; who waits writes */
	u64 told;             /* those where one has left since they were asked; atomic */
	u64 on_their_way;     /* those that have not taken the question yet; atomic */
	struct task_struct *task; /* sleeps; NULL = a domain's work, which is to run again */
};

struct srcu_struct {
	/* Readers load these; seldom written. */
	u32 idx;              /* phase of new readers, 0 or 1; under gp_mutex */
	u32 flavor;           /* enum srcu_read_flavor; 0 = nobody has read yet; cmpxchg() */
	u32 moves;            /* 1 = readers may leave elsewhere than they entered; they write */
	u32 pad;
	struct srcu_data *sda;/* of each CPU; never changes */
	u64 pad_line[5];

	/* Updaters. */
	u64 seq;              /* of grace periods, see rcu_seq.h; under gp_mutex, all read */
	struct mutex gp_mutex;/* held by who drives the grace period */

	/* For those that do not wait for it themselves. */
	u64 needed;           /* what seq is to come to; grows, by cmpxchg() */
	u32 work_wanted;      /* 1 = who has driven a grace period queues work; work writes */
	u32 barrier_left;     /* callbacks of srcu_barrier() that have not run, plus 1; atomic */
	struct irq_work irq_work; /* queues work */
	struct work_struct work; /* drives grace periods to what is needed */
	struct srcu_waiter waiter; /* of work; under gp_mutex */
	struct mutex barrier_mutex; /* held by srcu_barrier() */
	struct completion barrier_done; /* under barrier_mutex */
} __cacheline_aligned;

/* The work of a domain, and the interrupt that queues it. */
void srcu_process(struct work_struct *work);
void srcu_request(struct irq_work *work);

#define SRCU_STRUCT_INIT(name, data) { \
	.sda = (data), .gp_mutex = MUTEX_INIT((name).gp_mutex), \
	.irq_work = IRQ_WORK_INIT(srcu_request), .work = __WORK_INITIALIZER(srcu_process), \
	.barrier_mutex = MUTEX_INIT((name).barrier_mutex), \
}
#define DEFINE_SRCU_DATA(name) static struct srcu_data name##_data[MAX_CPUS]
#define DEFINE_SRCU(name) \
	DEFINE_SRCU_DATA(name); \
	struct srcu_struct name = SRCU_STRUCT_INIT(name, name##_data)
#define DEFINE_STATIC_SRCU(name) \
	DEFINE_SRCU_DATA(name); \
	static struct srcu_struct name = SRCU_STRUCT_INIT(name, name##_data)

/**
 * init_srcu_struct() - make a domain
 *
 * Context: task. 0 or -ENOMEM.
 */
int init_srcu_struct(struct srcu_struct *ssp);

/**
 * cleanup_srcu_struct() - end a domain's life
 *
 * Nobody uses it any more: readers that are left, and callbacks that have not run
 * (srcu_barrier() waits for them), are reported. Not for DEFINE_SRCU().
 *
 * Context: task, may sleep.
 */
void cleanup_srcu_struct(struct srcu_struct *ssp);

/* Report readers of several flavors in one domain; the first reader decides. */
void srcu_check_read_flavor(struct srcu_struct *ssp, u32 flavor);

/* Called by a CPU that comes up, before it is online, with interrupts off. */
void srcu_cpu_starting(void);

/* A reader of @phase has left here, and somebody may wait for it. */
void srcu_reader_left(const struct srcu_struct *ssp, u32 phase);

static inline void __srcu_check_flavor(struct srcu_struct *ssp, u32 flavor)
{
	if (unlikely(READ_ONCE(ssp->flavor) != flavor))
		srcu_check_read_flavor(ssp, flavor);
}

static inline struct srcu_data *this_srcu_data(const struct srcu_struct *ssp)
{
	return &ssp->sda[smp_processor_id()];
}

static inline u32 __srcu_read_lock(struct srcu_struct *ssp)
{
	u32 idx = READ_ONCE(ssp->idx);

	this_cpu_add(&this_srcu_data(ssp)->lock[idx], 1);
	smp_mb(); /* B: the count before the section; pairs with A, and with E. */
	return idx;
}

/* The domain may be gone when the count is out: only this CPU's own words are looked at then. */
static inline void __srcu_count_unlock(struct srcu_struct *ssp, u32 idx)
{
	this_cpu_add(&this_srcu_data(ssp)->unlock[idx], 1);
	if (unlikely(READ_ONCE(this_cpu()->preempt_work) & PREEMPT_WORK_SRCU))
		srcu_reader_left(ssp, idx);
}

static inline void __srcu_read_unlock(struct srcu_struct *ssp, u32 idx)
{
	smp_mb(); /* C: the section before the count; pairs with A, and with D. */
	__srcu_count_unlock(ssp, idx);
}

/**
 * srcu_read_lock() - enter a section: what is found in it stays until srcu_read_unlock()
 *
 * The section may sleep, and may be nested; the same task (or interrupt) leaves it, with what
 * this returned. Context: task or interrupt; see srcu_read_lock_nmisafe() for NMIs.
 */
static inline u32 srcu_read_lock(struct srcu_struct *ssp)
{
	u32 idx;

	__srcu_check_flavor(ssp, SRCU_READ_FLAVOR_NORMAL);
	task_keeps_cpu();
	idx = __srcu_read_lock(ssp);
	machine_reader_begins(ssp);
	return idx;
}

static inline void srcu_read_unlock(struct srcu_struct *ssp, u32 idx)
{
	machine_reader_ends(ssp);
	__srcu_read_unlock(ssp, idx);
	task_lets_cpu_go();
}

/* The same, of a domain whose readers may be NMIs: all of them have to say so. */
static inline u32 srcu_read_lock_nmisafe(struct srcu_struct *ssp)
{
	u32 idx;

	__srcu_check_flavor(ssp, SRCU_READ_FLAVOR_NMI);
	task_keeps_cpu();
	idx = __srcu_read_lock(ssp);
	machine_reader_begins(ssp);
	return idx;
}

static inline void srcu_read_unlock_nmisafe(struct srcu_struct *ssp, u32 idx)
{
	machine_reader_ends(ssp);
	__srcu_read_unlock(ssp, idx);
	task_lets_cpu_go();
}

/**
 * srcu_down_read() - enter a section that another task may leave, also on another CPU
 *
 * Like a semaphore's; nobody keeps a CPU up for it. Context: task or interrupt; srcu_up_read()
 * any but NMI.
 */
static inline u32 srcu_down_read(struct srcu_struct *ssp)
{
	u32 idx;

	__srcu_check_flavor(ssp, SRCU_READ_FLAVOR_NORMAL);
	if (unlikely(!READ_ONCE(ssp->moves)))
		WRITE_ONCE(ssp->moves, 1);
	smp_wmb(); /* That readers move before one is counted; pairs with A. */
	idx = __srcu_read_lock(ssp);
	machine_mover_begins(ssp);
	return idx;
}

static inline void srcu_up_read(struct srcu_struct *ssp, u32 idx)
{
	machine_mover_ends(ssp);
	__srcu_read_unlock(ssp, idx);
}

/**
 * srcu_read_lock_fast() - enter a section, without a barrier
 *
 * The updater has a grace period of RCU in the place of A: an interrupt of it drains the
 * counts of each CPU. Context: where RCU watches: task or interrupt.
 */
static inline u32 srcu_read_lock_fast(struct srcu_struct *ssp)
{
	u32 idx;

	__srcu_check_flavor(ssp, SRCU_READ_FLAVOR_FAST);
	task_keeps_cpu();
	idx = READ_ONCE(ssp->idx);
	this_cpu_add(&this_srcu_data(ssp)->lock[idx], 1);
	barrier(); /* The count before the section, in the code; see srcu_readers_are_gone(). */
	machine_reader_begins(ssp);
	return idx;
}

static inline void srcu_read_unlock_fast(struct srcu_struct *ssp, u32 idx)
{
	machine_reader_ends(ssp);
	barrier(); /* The section before the count, in the code. */
	__srcu_count_unlock(ssp, idx);
	task_lets_cpu_go();
}

#define srcu_dereference(p, ssp) smp_load_acquire(&(p))

/**
 * synchronize_srcu() - return when every reader of the domain that had begun has ended
 *
 * The caller drives the grace period itself, or waits for who does. Context: task, may sleep;
 * in no section of this domain.
 */
void synchronize_srcu(struct srcu_struct *ssp);

/* The same, by a caller who would rather use the processor than sleep. */
void synchronize_srcu_expedited(struct srcu_struct *ssp);

/*
 * Run head->func(head) from a task after a grace period of the domain. Any context but NMI; of a
 * domain of DEFINE_SRCU() a task has called workqueue_start() before.
 */
void call_srcu(struct srcu_struct *ssp, struct rcu_head *head,
	       void (*func)(struct rcu_head *head));

/* Return when every callback that was queued before, on any CPU, has run. May sleep. */
void srcu_barrier(struct srcu_struct *ssp);

/*
 * What poll_state_synchronize_srcu() is to be given to learn whether a grace period has passed
 * since. The second one sees to it that one does. Any context but NMI.
 */
u64 get_state_synchronize_srcu(struct srcu_struct *ssp);
u64 start_poll_synchronize_srcu(struct srcu_struct *ssp);
bool poll_state_synchronize_srcu(struct srcu_struct *ssp, u64 cookie);

/* CPUs where more readers have entered than left, or the other way round; a snapshot. */
u64 srcu_unbalanced_cpus(const struct srcu_struct *ssp);

#endif
