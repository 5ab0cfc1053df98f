// SPDX-License-Identifier: MIT
/*
 * How a CPU gives way.
 *
 * With more CPUs than cores, whoever is waited for can only run when somebody
 * else gives a core away. So a waiter spins for about a microsecond, then
 * sleeps on a word of its own, cpu->event. It says what it waits for in a small
 * table of masks; who changes a word wakes the CPUs of that word's mask, and who
 * raises an interrupt on a sleeping CPU wakes it instead of sending a signal.
 */
#include "real.h"

#include <irqflags.h>

#define BUCKETS 64
#define SLEEP_NS 5000000UL    /* then look again: nothing depends on it */
#define SPIN_FEW 3000         /* cycles: more CPUs than cores */
#define SPIN_MANY 60000       /* cycles: everybody has a core; waking one takes longer */

static struct {
	u64 mask __cacheline_aligned; /* CPUs that wait for a word of this bucket; atomic */
} buckets[BUCKETS];

static u64 *bucket_of(const u32 *word)
{
	u64 hash = ((u64)word >> 2) * 0x9e3779b97f4a7c15UL;

	return &buckets[hash >> 58].mask;
}

bool machine_is_oversubscribed(void)
{
	return the_machine->config.cpus > the_machine->config.cores;
}

void kick_sleeper(struct cpu *cpu)
{
	if (machine_is_oversubscribed()) {
		core_kick(cpu);
		return;
	}
	atomic_inc(&cpu->event);
	futex_wake(&cpu->event, 1);
}

void machine_wake(const u32 *word)
{
	u64 mask;

	smp_mb(); /* The word before the waiters; pairs with the locked or in sleep_on(). */
	mask = READ_ONCE(*bucket_of(word));
	while (mask) {
		struct cpu *cpu = cpu_at(__builtin_ctzl(mask));

		mask &= mask - 1;
		kick_sleeper(cpu);
	}
}

static bool can_interrupt(const struct cpu *cpu)
{
	return READ_ONCE(cpu->irq_pending) && !READ_ONCE(cpu->irq_off);
}

/* Sleep on cpu->event until it is no longer @event, without a core meanwhile. */
static void sleep_until_event(struct cpu *cpu, u32 event, u64 timeout_ns)
{
	if (!machine_is_oversubscribed()) {
		futex_wait(&cpu->event, event, timeout_ns);
		return;
	}
	core_release(cpu);
	futex_wait(&cpu->event, event, timeout_ns);
	/* Who wakes it before it has released its core does not know that it will lack one. */
	core_acquire(cpu, READ_ONCE(cpu->event) != event);
}

/*
 * Sleep while *@word is @value; take interrupts if they are on. An interrupt
 * may sleep here on top of a sleeper: it leaves event changed, so that the one
 * below looks again.
 */
static void sleep_on(const u32 *word, u32 value)
{
	struct cpu *cpu = this_cpu();
	u64 *bucket = bucket_of(word), bit = 1UL << cpu->id;
	u32 event = READ_ONCE(cpu->event);

	atomic_fetch_or(bit, bucket);
	(void)xchg(&cpu->sleeping, 1);
	if (READ_ONCE(*word) == value && !can_interrupt(cpu))
		sleep_until_event(cpu, event, SLEEP_NS);
	(void)xchg(&cpu->sleeping, 0);
	atomic_fetch_and(~bit, bucket);
	atomic_inc(&cpu->event);
	cpu->nr_sleeps++;
	if (can_interrupt(cpu))
		irq_run_pending();
}

static bool spin(const u32 *word, u32 value)
{
	u64 limit = machine_is_oversubscribed() ? SPIN_FEW : SPIN_MANY;
	u64 start = machine_cycles();

	do {
		if (READ_ONCE(*word) != value)
			return true;
		__builtin_ia32_pause();
	} while (machine_cycles() - start < limit);
	return false;
}

void machine_relax_while(const u32 *word, u32 value)
{
	if (!spin(word, value))
		sleep_on(word, value);
}

void machine_spin_while(const u32 *word, u32 value)
{
	(void)spin(word, value);
}

void machine_wait_clear(const u32 *word, u32 bits)
{
	u32 value;

	while ((value = smp_load_acquire(word)) & bits)
		machine_relax_while(word, value);
}

void machine_count_down(u32 *count)
{
	if (atomic_dec_and_test(count))
		machine_wake(count);
}

/* Interrupts are off, and a pending one ends it: the caller takes it. */
void machine_idle(void)
{
	struct cpu *cpu = this_cpu();
	u64 limit = machine_is_oversubscribed() ? 0 : SPIN_MANY;
	u64 start = machine_cycles();
	u32 event;

	while (machine_cycles() - start < limit) {
		if (READ_ONCE(cpu->irq_pending))
			return;
		__builtin_ia32_pause();
	}
	event = READ_ONCE(cpu->event);
	(void)xchg(&cpu->sleeping, 1);
	if (!READ_ONCE(cpu->irq_pending))
		sleep_until_event(cpu, event, 0);
	(void)xchg(&cpu->sleeping, 0);
	cpu->nr_sleeps++;
}
