// SPDX-License-Identifier: MIT
/*
 * Who may use a core, when there are more CPUs than cores.
 *
 * The scheduler of the host does not know who waits for whom: a CPU that others
 * wait for may stand behind busy ones for several of its ticks. So each CPU
 * belongs to one core, and of those that share a core one runs; the others
 * sleep. Who goes to sleep passes the core on: first to a CPU that was woken or
 * interrupted, then to the one that has waited longest. Who has answered an
 * interrupt gives way while others of its core still have to. The coordinator
 * takes cores away in turn.
 *
 * A core here is a place in line, not one of the host's: where a thread runs is
 * the host's business. (Pinning each thread to a core of the host gains nothing,
 * and on a busy host threads that are pinned, or moved, are starved for seconds.)
 *
 * This decides about speed only: no mechanism relies on it, and a CPU that runs
 * without a core for a moment (a signal came while it fell asleep) does no harm.
 */
#include "real.h"

#include <irqflags.h>

#define LOCK_TURNS 200
#define LOCK_TURN_NS 5000000UL
#define SLICE_NS 2000000UL
#define OWED_NS (4 * SLICE_NS) /* so long those who compute let those go first that wake up */

enum { LOCK_FREE, LOCK_TAKEN, LOCK_CONTENDED };

/* One core and the CPUs that share it. All under lock; who reads without, only guesses. */
static struct core_line {
	u32 lock;             /* futex: one of the above */
	u32 holder;           /* the CPU that has it, plus 1; 0 = none */
	u64 wants;            /* CPUs that wait for it */
	u64 urgent;           /* those of them that others wait for, or that were interrupted */
	u64 computing;        /* those of them that wait only to go on computing */
	u64 ticket;           /* orders those that wait */
	u64 since;            /* when the turn of who computes began, machine time, ns */
	u64 hurried;          /* those that others wait for to go on; atomic, without lock */
	u32 owed;             /* 1 = next goes who computes; coordinator sets, without lock */
} lines[MAX_CPUS] __cacheline_aligned;

static u64 asked[MAX_CPUS];   /* ticket of each CPU that waits; under its core's lock */
static u64 woken[MAX_CPUS];   /* when it got a core so, machine time, ns; 0 = computes; same lock */
static u32 kept[MAX_CPUS];    /* 1 = once, it does not give way; that CPU alone */

static struct core_line *line_of(const struct cpu *cpu)
{
	return &lines[cpu->id % the_machine->config.cores];
}

/* An NMI that came while this thread holds the lock would wait for it, if it wakes somebody. */
static void hold_nmis_off(int more)
{
	struct cpu *self = this_cpu();

	barrier();
	if (self)
		WRITE_ONCE(self->nmi_off, self->nmi_off + more);
	barrier();
}

/*
 * Who waits for the lock sleeps: its holder may have lost its core to the host.
 * False after a while: then the holder died, and so did the machine.
 */
static bool lock_line(struct core_line *line)
{
	hold_nmis_off(1);
	if (cmpxchg(&line->lock, LOCK_FREE, LOCK_TAKEN) == LOCK_FREE)
		return true;
	for (int turn = 0; turn < LOCK_TURNS; turn++) {
		if (xchg(&line->lock, LOCK_CONTENDED) == LOCK_FREE)
			return true;
		futex_wait(&line->lock, LOCK_CONTENDED, LOCK_TURN_NS);
	}
	hold_nmis_off(-1);
	return false;
}

static void unlock_line(struct core_line *line)
{
	if (xchg(&line->lock, LOCK_FREE) == LOCK_CONTENDED)
		futex_wake(&line->lock, 1);
	hold_nmis_off(-1);
}

/* Under the lock: @cpu may go on. */
static void grant(struct core_line *line, struct cpu *cpu)
{
	u64 bit = 1UL << cpu->id;

	/* A turn is that of a CPU that computes; wake-ups and answers in between do not count. */
	if (line->computing & bit & ~line->urgent)
		line->since = machine_now();
	if (line->computing & bit || !cpu->interrupted)
		WRITE_ONCE(woken[cpu->id], line->computing & bit ? 0 : machine_now());
	/* It gets the core out of its turn, to answer: then it gives it back. */
	cpu->answering = line->urgent & line->computing & bit ? 1 : 0;
	WRITE_ONCE(line->wants, line->wants & ~bit);
	WRITE_ONCE(line->urgent, line->urgent & ~bit);
	line->computing &= ~bit;
	cpu->interrupted = 0;
	WRITE_ONCE(line->holder, cpu->id + 1);
	WRITE_ONCE(cpu->core, CORE_HELD);
}

static struct cpu *first_in_line(const struct core_line *line)
{
	u64 turn = READ_ONCE(line->owed) ? line->computing & ~line->urgent : 0;
	u64 mask = turn ?: line->urgent ?: line->wants;
	struct cpu *best = NULL;

	for (; mask; mask &= mask - 1) {
		u32 n = __builtin_ctzl(mask);

		if (!best || asked[n] < asked[best->id])
			best = cpu_at(n);
	}
	return best;
}

/* Under the lock. */
static void stand_in_line(struct core_line *line, struct cpu *cpu, bool urgent)
{
	u64 bit = 1UL << cpu->id;

	/* Who only answered keeps its place in line. */
	if (!(line->wants & bit) && !cpu->answering)
		asked[cpu->id] = line->ticket++;
	cpu->answering = 0;
	WRITE_ONCE(line->wants, line->wants | bit);
	if (urgent)
		WRITE_ONCE(line->urgent, line->urgent | bit);
	else
		line->computing |= bit;
	WRITE_ONCE(cpu->core, CORE_WANTED);
}

/* Under the lock. One that was interrupted has to stand in line again when its time is over. */
static struct cpu *next_in_line(struct core_line *line)
{
	u64 now = machine_now(), bit;
	struct cpu *next;

	while ((next = first_in_line(line)) && next->interrupted &&
	       now - (woken[next->id] ?: line->since) >= SLICE_NS && line->computing) {
		bit = 1UL << next->id;
		next->interrupted = 0;
		/* Unless it has been interrupted again meanwhile. */
		if (!READ_ONCE(next->irq_pending))
			WRITE_ONCE(line->urgent, line->urgent & ~bit);
		line->computing |= bit;
		asked[next->id] = line->ticket++;
	}
	WRITE_ONCE(line->owed, 0);
	return next;
}

static void tell(struct cpu *cpu)
{
	if (!cpu)
		return;
	atomic_inc(&cpu->event);
	futex_wake(&cpu->event, 1);
}

/* The running CPU is about to sleep; it looks at its interrupts afterwards. */
void core_release(struct cpu *cpu)
{
	struct core_line *line = line_of(cpu);
	u32 irq_off = cpu->irq_off;
	struct cpu *next = NULL;

	WRITE_ONCE(cpu->irq_off, 1);
	barrier();
	if (cpu->core == CORE_HELD && lock_line(line)) {
		WRITE_ONCE(cpu->core, CORE_NONE);
		WRITE_ONCE(line->holder, 0);
		next = next_in_line(line);
		if (next)
			grant(line, next);
		unlock_line(line);
	}
	tell(next);
	barrier();
	WRITE_ONCE(cpu->irq_off, irq_off);
}

/* With interrupts off, so that no handler wants the lock that this thread holds. */
static bool kick_locked(struct core_line *line, struct cpu *cpu)
{
	bool go = true;

	if (!lock_line(line))
		return true;
	if (cpu->core == CORE_NONE && !line->holder) {
		grant(line, cpu);
	} else if (cpu->core != CORE_HELD) {
		stand_in_line(line, cpu, true);
		go = false;
	}
	unlock_line(line);
	return go;
}

/* @cpu sleeps, or is about to, and should not any more. Any context, also the coordinator. */
void core_kick(struct cpu *cpu)
{
	struct core_line *line = line_of(cpu);
	struct cpu *self = this_cpu();
	u32 flags = self ? local_irq_save() : 1, holder;

	if (kick_locked(line, cpu)) {
		tell(cpu);
	} else {
		atomic_inc(&cpu->event);
		/* If it is this CPU, it will sleep soon, or has an interrupt to end. */
		holder = READ_ONCE(line->holder);
		if (holder && cpu_at(holder - 1) != self && cpu_at(holder - 1) != cpu)
			machine_raise_irq(holder - 1, IRQ_GIVE_WAY);
	}
	/* A signal that came meanwhile found interrupts off, and will not come again. */
	local_irq_restore(flags);
}

static void wait_for_core(struct cpu *cpu)
{
	for (;;) {
		u32 event = READ_ONCE(cpu->event);

		if (smp_load_acquire(&cpu->core) == CORE_HELD)
			return;
		futex_wait(&cpu->event, event, 0);
	}
}

/* The running CPU has woken up, or was woken: go on when it has a core. */
void core_acquire(struct cpu *cpu, bool woken)
{
	struct core_line *line = line_of(cpu);
	u32 irq_off = cpu->irq_off;

	if (READ_ONCE(cpu->core) == CORE_HELD)
		return;
	WRITE_ONCE(cpu->irq_off, 1);
	barrier();
	if (lock_line(line)) {
		if (cpu->core == CORE_NONE && !line->holder)
			grant(line, cpu);
		else if (cpu->core == CORE_NONE)
			stand_in_line(line, cpu, woken);
		unlock_line(line);
		wait_for_core(cpu);
	}
	barrier();
	WRITE_ONCE(cpu->irq_off, irq_off);
}

static bool is_hurried(const struct core_line *line, const struct cpu *cpu)
{
	return READ_ONCE(line->hurried) & 1UL << cpu->id;
}

void machine_keep_core(void)
{
	kept[smp_processor_id()] = 1;
}

/* At the end of an interrupt it gives way anyway; so does who goes to sleep. */
void machine_offer_core(void)
{
	struct cpu *cpu = this_cpu();
	struct core_line *line = line_of(cpu);
	u64 bit = 1UL << cpu->id;

	if (READ_ONCE(line->hurried) & bit)
		atomic_fetch_and(~bit, &line->hurried);
	if (READ_ONCE(line->urgent) && !cpu->irq_depth && cpu->curr->class == TASK_NORMAL)
		machine_raise_irq(cpu->id, IRQ_GIVE_WAY);
}

void machine_hurry(int target)
{
	struct cpu *cpu = cpu_at(target), *self = this_cpu();
	struct core_line *line = line_of(cpu);
	u32 flags, holder = 0;

	if (READ_ONCE(cpu->core) == CORE_NONE)
		return;
	flags = local_irq_save();
	atomic_fetch_or(1UL << cpu->id, &line->hurried);
	if (lock_line(line)) {
		if (cpu->core == CORE_WANTED) {
			WRITE_ONCE(line->urgent, line->urgent | 1UL << cpu->id);
			holder = line->holder;
		}
		unlock_line(line);
	}
	/* The caller sleeps soon. */
	if (holder && cpu_at(holder - 1) != self)
		machine_raise_irq(holder - 1, IRQ_GIVE_WAY);
	local_irq_restore(flags);
}

/*
 * Interrupts are off, and this CPU would go back to computing. Let those go first
 * that others wait for, and anybody who waits if the coordinator has asked for it.
 * One that is interrupted before its time is over goes on as soon as they have answered.
 */
void core_give_way(struct cpu *cpu, bool interrupted)
{
	struct core_line *line = line_of(cpu);
	struct cpu *next = NULL;
	bool all = cpu->yield, keep = kept[cpu->id];

	kept[cpu->id] = 0;
	if (cpu->core != CORE_HELD || !(all ? READ_ONCE(line->wants) :
					 READ_ONCE(line->urgent) | READ_ONCE(line->owed)))
		return;
	/* In the middle of something: it sleeps soon, or is asked again; @all is remembered. */
	if (cpu->preempt_count || cpu->curr->class != TASK_NORMAL || keep)
		return;
	cpu->yield = 0;
	(void)xchg(&cpu->sleeping, 1);
	if (!READ_ONCE(cpu->irq_pending) && lock_line(line)) {
		/* Who interrupts it later finds it in line, and makes it urgent. */
		if (!READ_ONCE(cpu->irq_pending))
			next = next_in_line(line);
		if (next) {
			cpu->interrupted = interrupted && !all &&
					   (!cpu->answering || is_hurried(line, cpu));
			if (all)
				atomic_fetch_and(~(1UL << cpu->id), &line->hurried);
			stand_in_line(line, cpu, cpu->interrupted);
			grant(line, next);
		}
		unlock_line(line);
		tell(next);
		if (next)
			wait_for_core(cpu);
	}
	(void)xchg(&cpu->sleeping, 0);
	sync_core();
}

/* By the coordinator: ask for cores that others wait for, at once or after a slice. */
void cores_rotate(void)
{
	u64 now = machine_now();

	for (u32 n = 0; n < the_machine->config.cpus; n++) {
		struct core_line *line = line_of(cpu_at(n));
		u64 slice = READ_ONCE(line->urgent) ? 0 : SLICE_NS;

		if (READ_ONCE(cpu_at(n)->core) != CORE_HELD || !READ_ONCE(line->wants) ||
		    now - READ_ONCE(line->since) < slice)
			continue;
		/* Who was woken in the turn of another one has not had its own: it is back soon. */
		if (now - READ_ONCE(woken[n]) >= SLICE_NS) {
			machine_raise_irq(n, IRQ_YIELD);
		} else {
			if (now - READ_ONCE(line->since) >= OWED_NS)
				WRITE_ONCE(line->owed, 1);
			machine_raise_irq(n, IRQ_GIVE_WAY);
		}
	}
}
