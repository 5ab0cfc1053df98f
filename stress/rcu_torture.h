/* SPDX-License-Identifier: MIT */
/*
 * What readers, writers and the rest of rcu_torture share; in the spirit of
 * kernel/rcu/rcutorture.c (v6.12).
 *
 * One element is the newest. A writer replaces it, which moves the old one to place 1
 * of a pipe, and each grace period since then moves it one place further; at the end of
 * the pipe it is free for reuse. A reader that leaves its section looks where its element
 * is by then: further than at 1 is a grace period that did not wait for it.
 */
#ifndef STRESS_RCU_TORTURE_H
#define STRESS_RCU_TORTURE_H

#include <finding.h>
#include <kernel/completion.h>
#include <kernel/rcu.h>
#include <kernel/sched.h>
#include <kernel/spinlock.h>
#include <list.h>

#define PIPE_LENGTH 10
#define ELEMENTS (10 * PIPE_LENGTH)
#define BATCHES 11

/* As in READERS of rcu_torture.py. */
enum torture_reader { READ_IN_TASK, READ_IN_INTERRUPT, READ_UP_DOWN, READERS };

/* As in WAITS of rcu_torture.py: how a grace period is waited for. */
enum torture_wait {
	WAIT_NORMAL,
	WAIT_EXPEDITED,
	WAIT_POLLED,
	WAIT_CONDITIONAL,
	WAIT_CALLBACK,
	WAITS
};

/* What keeps a section a reader; several at once, and one after the other. */
#define SEGMENT_LOCK 0x1      /* the flavour's own lock */
#define SEGMENT_NESTED 0x2    /* and once more */
#define SEGMENT_PREEMPT 0x4   /* preemption off */
#define SEGMENT_IRQ 0x8       /* interrupts off */
#define SEGMENTS 4

struct torture_element {
	struct rcu_head head;
	struct list_head list;/* of the free ones under lock; of the removed ones, its writer's */
	u64 alive;            /* 1 from before it is current until it is free; see mbtest there */
	u32 pipe;             /* 0 = not removed, n = n - 1 grace periods ago; who waited writes */
	u32 pad;
	struct side aged;     /* who moved it on last; for reports */
};

/* A section on its way from the task that began it to the one that ends it. */
struct torture_hand {
	u32 full;             /* 1 = the second one's; both write */
	u32 ended;            /* 1 = the first one begins no more; it writes */
	u32 cookie;
	u32 pad;
	struct torture_element *element; /* NULL = there was none */
	u64 began;            /* grace periods that had ended */
} __cacheline_aligned;

/* A callback of a flood, or before a barrier. */
struct torture_call {
	struct rcu_head head;
	u64 *ran;             /* the callback adds 1; atomic */
};

struct torture;

/* A kind of RCU; NULL = it has no such thing. */
struct torture_flavour {
	void (*start)(void);                 /* before the first use; from a task, may sleep */
	u32 (*lock)(void);
	void (*unlock)(u32 cookie);
	u32 (*down)(void);                   /* begun by one task, ended by another */
	void (*up)(u32 cookie);
	void (*synchronize)(void);
	void (*expedited)(void);
	u64 (*get_state)(void);
	u64 (*start_poll)(void);
	bool (*poll)(u64 state);
	void (*conditional)(u64 state);
	void (*call)(struct rcu_head *head, void (*func)(struct rcu_head *head));
	void (*drain)(void);              /* return when all callbacks have run */
	u64 (*sequence)(void);               /* grace periods that have ended */
	/* SEGMENT_*: each keeps a section a reader by itself, which another one has begun. */
	u32 segments;
	u32 always;                          /* one that no other can stand for */
	bool may_sleep;                      /* in a section */
	bool in_interrupts;                  /* readers may be */
};

/* One task, or one CPU's interrupt; it alone writes. */
struct torture_task {
	struct torture *torture;
	u64 random;           /* state of its generator, not 0 */
	u64 reads[READERS];
	u64 pipe[PIPE_LENGTH + 1];
	u64 batch[BATCHES];   /* readers by the grace periods that ended meanwhile */
	u64 updates[WAITS];   /* elements replaced, by what was waited for */
	u64 waits[WAITS];     /* by those that replace nothing */
	u64 floods;           /* of callbacks */
	u64 flooded;          /* callbacks of them that have run */
	u64 flood_ns;         /* the longest that a flood took to run, ns */
	u64 barriers;         /* at whose end all callbacks had run */
	u64 stalls;           /* injected */
	u64 pauses;           /* stutters; CPUs left alone */
	u64 number;           /* of its kind */
	struct torture_call *calls; /* its own, as many as it queues at a time */
	struct torture_hand *hand;  /* its pair's */
	u64 ran;              /* callbacks of its own that have run; atomic */
} __cacheline_aligned;

struct torture {
	u32 flavour;          /* index, as in FLAVOURS of rcu_torture.py */
	u32 delay;            /* longest time in a segment, cycles */
	u32 call_per_mille;   /* elements that are moved on by callbacks */
	u32 flood;            /* callbacks of a flood; 0 = none */
	u32 calls;            /* callbacks before a barrier */
	u32 stall_ms;         /* length of a stall */
	u32 stall_every_ms;   /* pause between two */
	u32 stutter_ms;       /* all pause so long, as often; 0 = never */
	u32 shuffle_ms;       /* each CPU in turn is left alone so long; 0 = never */

	u32 paused;           /* 1 = all but the controller wait; it writes */
	s32 left_alone;       /* a CPU whose tasks wait; -1 = none; the controller writes */
	struct torture_element *newest; /* RCU; NULL = none yet; the writer writes */
	spinlock_t lock;      /* of the free ones; interrupts off */
	u32 nr_free;          /* under lock */
	struct list_head free;/* under lock */
	struct torture_element element[ELEMENTS];
} __cacheline_aligned;

const struct torture_flavour *torture_flavour(const struct torture *torture);

/* Where every task comes by: pauses end here, and others get the CPU. False: the run is over. */
bool torture_goes_on(struct torture_task *task);

/* Sleep about as long as that; any task. */
void torture_sleep(u64 us);

/* Begin a section by @segments of @flavour, end it, or let others keep it a reader. */
struct torture_section {
	const struct torture_flavour *flavour;
	u32 segments;
	u32 cookie[2];        /* of SEGMENT_LOCK and SEGMENT_NESTED */
	u32 irq_flags;
};

void section_change(struct torture_section *section, u32 segments);

/* Spin for at most @cycles. */
void torture_spin(struct torture_task *task, u32 cycles);

/* How many grace periods have ended, if the flavour tells. */
u64 torture_ended(const struct torture *torture);

/* Read the current element in a section that has begun. NULL = there is none. */
struct torture_element *torture_read(struct torture_task *task);

/* At the section's end, still in it: judge where @element is by now. */
void torture_judge(struct torture_task *task, const struct torture_element *element, u64 began);

/* Wait for a grace period, somehow; returns how. */
enum torture_wait torture_wait_somehow(struct torture_task *task);

#endif
