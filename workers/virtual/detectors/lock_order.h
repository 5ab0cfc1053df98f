/* SPDX-License-Identifier: MIT */
/*
 * Lock order: a deadlock that another order of events could have, told by the
 * locks that were taken in this run, whether or not it comes to it.
 *
 * Two things are found. A cycle: some task or interrupt takes B while it holds
 * A, others take A while they hold B, at once or by way of more locks. And a
 * lock that an interrupt waits for on a CPU where it, or what is waited for
 * under it, is held elsewhere with interrupts on; likewise a softirq, with softirqs on.
 *
 * Source: Linux Documentation/locking/lockdep-design.rst (v6.12), and for the
 * rules of a cycle: Joshi, Park, Sen, Naik, "A randomized dynamic program
 * analysis technique for detecting real deadlocks", PLDI 2009 (iGoodlock).
 * Where we depart from lockdep, and why:
 *
 * - Locks are told apart one by one, by address, not by class: in a run of some
 *   hundred steps there are few, and nothing has to be said about nesting.
 * - What is known belongs to one run: so it comes back when the run does.
 * - The links of a cycle come from as many tasks or interrupts, no two of them
 *   hold a common lock, and no two of them are on one CPU with preemption off:
 *   they must be able to be there at the same time. lockdep takes any links.
 * - An order that something else enforces (a start, a completion) is not known,
 *   to lockdep neither.
 * - A reader waits for a reader only where a writer may stand between them: if
 *   nobody has held the lock alone before, it does not.
 * - A CPU's interrupts are those of that CPU: a lock that only CPU 0's handlers
 *   take may be held with interrupts on by CPU 1.
 * - Waiting for interrupts of other CPUs under a lock that one of them waits for
 *   with interrupts off is a cycle, too; lockdep does not know cross calls.
 * - It is noted when the lock has been taken, not before: a run that does come
 *   to a deadlock says so itself.
 * - Locks in stacks that no init function made are passed over: other ones may
 *   have been there before. More locks than MAX_LOCKS, or deeper than MAX_HELD,
 *   are passed over, too.
 */
#ifndef VIRTUAL_LOCK_ORDER_H
#define VIRTUAL_LOCK_ORDER_H

#include "engine.h"

#define MAX_LOCKS 64          /* of one run: bits of a word */
#define MAX_HELD 12           /* by one task */
#define NO_LOCK MAX_LOCKS
#define PLACE_FRAMES 4

/* Somebody took a lock here. */
struct lock_place {
	u32 cpu, task;
	u64 tsc;
	u64 stack[PLACE_FRAMES];
};

/* The first such use; of a later one under fewer locks, that one. */
struct lock_use_place {
	u64 held;             /* locks held besides */
	struct lock_place place;
};

struct held_lock {
	u32 lock;             /* place in locks[]; NO_LOCK = passed over */
	u16 flags;            /* LOCK_* */
	u16 context;          /* enum lock_context of who took it */
	u64 addr;
	struct lock_place place;
};

enum lock_context { IN_TASK, IN_SOFTIRQ, IN_IRQ };

/*
 * What CPUs did with a lock; bit n is CPU n. Who has it alone makes everybody wait; who has
 * it with others makes those wait that want it alone, or after a writer that does.
 */
enum lock_use {
	USED_IN_IRQ,          /* an interrupt waits for it, though it may recurse */
	USED_IN_IRQ_ALONE,    /* and may not */
	USED_IRQS_ON,         /* held with others while an interrupt may come */
	USED_IRQS_ON_ALONE,
	USED_IN_SOFTIRQ,      /* the same of softirqs */
	USED_IN_SOFTIRQ_ALONE,
	USED_SOFTIRQS_ON,
	USED_SOFTIRQS_ON_ALONE,
	WANTED_IRQS_OFF,      /* waited for with interrupts off by who may recurse */
	WANTED_IRQS_OFF_ALONE,
	CALLED_UNDER,         /* held with others while that CPU was waited for */
	CALLED_UNDER_ALONE,
	LOCK_USES
};

struct lock {
	u64 addr;             /* 0 = free */
	u32 cpus[LOCK_USES];
	u32 written;          /* 1 = somebody has held it alone */
};

/* One link: @actor waits for @lock while it holds those of @held. */
struct lock_link {
	u16 actor;            /* task; or of an interrupt: MAX_FIBERS times its context, + CPU */
	u8 cpu, lock;
	u8 flags;             /* LOCK_* */
	u8 atomic;            /* 1 = with preemption or interrupts off */
	u8 nr_held;
	u64 held;             /* locks */
	u64 shared;           /* those of them that may be held by others as well */
	u8 held_lock[MAX_HELD];
	u64 held_at[MAX_HELD];
	struct lock_place place;
};

#define MAX_LINKS 512

extern struct lock locks[MAX_LOCKS];
extern struct lock_link lock_links[MAX_LINKS];
extern u32 nr_lock_links;
/* Locks that interrupts wait for; that were held while a CPU was waited for. */
extern u64 locks_in_irq, locks_called_under;
/* By each CPU: valid if its bit is set. */
extern struct lock_use_place lock_uses[MAX_LOCKS][LOCK_USES][VIRTUAL_CPUS];

/* Of a run: nobody holds anything. */
void lock_order_begin(void);
/* [start, start + size) is somebody else's now. */
void lock_order_forget(u64 start, u64 size);

/* lock_cycle.c: link number @n is new: report the cycle that it closes, if it does. */
void lock_cycle_check(u32 n, u64 frame);
/* Can both wait at the same time? */
bool lock_links_coexist(const struct lock_link *a, const struct lock_link *b);
/* lock_irq.c: a lock is used in a new way, or there is a new link. */
void lock_irq_check(u64 frame);

/* Here and now; @frame is the caller's. */
void lock_note_place(struct lock_place *place, const struct vcpu *cpu, const u64 *frame);
/* The place outside of the lock's own functions. */
u64 lock_caller(const struct lock_place *place);
struct side lock_side(const struct lock_place *place);

#endif
