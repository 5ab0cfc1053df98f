// SPDX-License-Identifier: MIT
/*
 * Who may use a core, when there are more CPUs than cores.
 *
 * The scheduler of the host does not know who waits for whom: a CPU that others
 * wait for may stand behind busy ones for several of its ticks. So at most as
 * many CPUs run as there are cores; the others sleep. Who goes to sleep passes
 * its core on: first to a CPU that was woken or interrupted, then to the one
 * that has waited longest. Who has answered an interrupt gives way while others
 * still have to. The coordinator takes cores away in turn.
 *
 * This decides about speed only: no mechanism relies on it, and a CPU that runs
 * without a core for a moment (a signal came while it fell asleep) does no harm.
 */
#define _GNU_SOURCE
#include "real.h"

#include <sched.h>

#define LOCK_PATIENCE 20000   /* turns; then somebody died with the lock in hand */
#define SLICE_NS 2000000UL

static struct {
	u32 lock;
	u32 free;             /* cores that nobody uses; under lock */
	u64 wants;            /* CPUs that wait for one; under lock, all read */
	u64 urgent;           /* those of them that others wait for; under lock, all read */
	u64 spare;            /* which cores are free; under lock */
	u64 ticket;           /* orders those that wait; under lock */
	u64 asked[MAX_CPUS];  /* ticket of each; under lock */
	u64 since[MAX_CPUS];  /* when it got its core, ns; under lock */
} cores __cacheline_aligned;

static cpu_set_t allowed;     /* cores of the host; the coordinator writes before boot */

void cores_init(void)
{
	u32 n = the_machine->config.cores;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	cores.spare = n >= 64 ? ~0UL : (1UL << n) - 1;
}

/* The nth core that the host lets us use. */
static int host_core(u32 n)
{
	for (int core = 0; core < CPU_SETSIZE; core++) {
		if (CPU_ISSET(core, &allowed) && n-- == 0)
			return core;
	}
	return -1;
}

/*
 * A thread that is woken must stand behind the one that wakes it: elsewhere it
 * would wait for the host's next tick while this core goes to sleep.
 */
void core_pin(s32 tid, u32 core)
{
	cpu_set_t set;
	int number = host_core(core);

	if (number < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(number, &set);
	sched_setaffinity(tid, sizeof(set), &set);
}

static bool lock_cores(void)
{
	for (int turn = 0; turn < LOCK_PATIENCE; turn++) {
		if (!READ_ONCE(cores.lock) && !xchg(&cores.lock, 1))
			return true;
		if (turn % 64 == 63)
			sched_yield();
		else
			__builtin_ia32_pause();
	}
	return false;
}

static void unlock_cores(void)
{
	smp_store_release(&cores.lock, 0);
}

/* Under the lock: @cpu may go on, on this core. */
static void grant(struct cpu *cpu, u32 core)
{
	u64 bit = 1UL << cpu->id;

	cpu->core_number = core;
	core_pin(cpu->owner_tid, core);

	cores.wants &= ~bit;
	cores.urgent &= ~bit;
	cores.since[cpu->id] = machine_now();
	WRITE_ONCE(cpu->core, CORE_HELD);
}

/* Under the lock: there is a spare core. */
static void take_spare(struct cpu *cpu)
{
	u32 core = __builtin_ctzl(cores.spare);

	cores.spare &= cores.spare - 1;
	grant(cpu, core);
}

static struct cpu *next_in_line(void)
{
	u64 mask = cores.urgent ? cores.urgent : cores.wants;
	u32 best = MAX_CPUS;

	for (; mask; mask &= mask - 1) {
		u32 n = __builtin_ctzl(mask);

		if (best == MAX_CPUS || cores.asked[n] < cores.asked[best])
			best = n;
	}
	return best == MAX_CPUS ? NULL : cpu_at(best);
}

/* Under the lock: a core is free now. Returns who gets it, to be told without the lock. */
static struct cpu *pass_on(u32 core)
{
	struct cpu *next = next_in_line();

	if (next) {
		grant(next, core);
	} else {
		cores.spare |= 1UL << core;
	}
	return next;
}

static void tell(struct cpu *cpu)
{
	if (!cpu)
		return;
	atomic_inc(&cpu->event);
	futex_wake(&cpu->event, 1);
}

/* Under the lock. */
static void stand_in_line(struct cpu *cpu, bool urgent)
{
	u64 bit = 1UL << cpu->id;

	if (!(cores.wants & bit))
		cores.asked[cpu->id] = cores.ticket++;
	WRITE_ONCE(cores.wants, cores.wants | bit);
	if (urgent)
		WRITE_ONCE(cores.urgent, cores.urgent | bit);
	WRITE_ONCE(cpu->core, CORE_WANTED);
}

/* The running CPU is about to sleep. A signal finds interrupts off meanwhile. */
void core_release(struct cpu *cpu)
{
	u32 irq_off = cpu->irq_off;
	struct cpu *next = NULL;

	WRITE_ONCE(cpu->irq_off, 1);
	barrier();
	if (cpu->core == CORE_HELD && lock_cores()) {
		WRITE_ONCE(cpu->core, CORE_NONE);
		next = pass_on(cpu->core_number);
		unlock_cores();
	}
	tell(next);
	barrier();
	WRITE_ONCE(cpu->irq_off, irq_off);
}

/* @cpu sleeps, or is about to, and should not any more. */
void core_kick(struct cpu *cpu)
{
	struct cpu *self = this_cpu();
	u32 irq_off = self ? self->irq_off : 0;
	bool go = true;

	if (self)
		WRITE_ONCE(self->irq_off, 1);
	barrier();
	atomic_inc(&cpu->event);
	if (lock_cores()) {
		if (cpu->core == CORE_NONE && cores.spare) {
			take_spare(cpu);
		} else if (cpu->core != CORE_HELD) {
			stand_in_line(cpu, true);
			go = false;
		}
		unlock_cores();
	}
	if (go)
		futex_wake(&cpu->event, 1);
	barrier();
	if (self)
		WRITE_ONCE(self->irq_off, irq_off);
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

/* The running CPU has woken up: go on when it has a core. */
void core_acquire(struct cpu *cpu)
{
	u32 irq_off = cpu->irq_off;

	if (READ_ONCE(cpu->core) == CORE_HELD)
		return;
	WRITE_ONCE(cpu->irq_off, 1);
	barrier();
	if (lock_cores()) {
		if (cpu->core == CORE_NONE && cores.spare) {
			take_spare(cpu);
		} else if (cpu->core == CORE_NONE) {
			stand_in_line(cpu, false);
		}
		unlock_cores();
		wait_for_core(cpu);
	}
	barrier();
	WRITE_ONCE(cpu->irq_off, irq_off);
}

/* Interrupts are off. Let those go first that others wait for, or @all that wait. */
void core_yield(struct cpu *cpu, bool all)
{
	struct cpu *next = NULL;

	if (!(all ? READ_ONCE(cores.wants) : READ_ONCE(cores.urgent)))
		return;
	if (cpu->core != CORE_HELD)
		return;
	(void)xchg(&cpu->sleeping, 1);
	if (!READ_ONCE(cpu->irq_pending) && lock_cores()) {
		next = next_in_line();
		if (next) {
			grant(next, cpu->core_number);
			stand_in_line(cpu, false);
		}
		unlock_cores();
		tell(next);
		if (next)
			wait_for_core(cpu);
	}
	(void)xchg(&cpu->sleeping, 0);
	sync_core();
}

/* By the coordinator: those that have had a core for long, while others wait for one. */
void cores_rotate(void)
{
	u64 now = machine_now();
	u32 wanted = __builtin_popcountl(READ_ONCE(cores.wants));
	u64 slice = READ_ONCE(cores.urgent) ? 0 : SLICE_NS;

	for (u32 n = 0; n < the_machine->config.cpus && wanted; n++) {
		if (READ_ONCE(cpu_at(n)->core) != CORE_HELD || now - cores.since[n] < slice)
			continue;
		machine_raise_irq(n, IRQ_YIELD);
		wanted--;
	}
}
