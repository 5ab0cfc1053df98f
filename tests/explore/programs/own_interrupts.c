// SPDX-License-Identifier: MIT
/*
 * A task stores 1, 2 and 3 to a word; what comes in between says what it has found there.
 * -D BY_NMI: it is an NMI and not the interrupt of a device.
 * -D INTERRUPTS_OFF: the task has interrupts off while it stores.
 * -D INCREMENT: task and interrupt add 1 to the word, with a load and a store.
 * -D UNLOCKED: they do so by one instruction.
 * -D REMOTE: the task is one of another CPU.
 * -D WAITS: the task waits until it has been interrupted.
 * -D BOTH: there is a device and an NMI; each puts its digit behind those that came before.
 * -D NESTED: the device's interrupt has interrupts on while it stores, and another one says
 * what it has found.
 */
#include <explore.h>
#include <outcome.h>

static u32 word, seen;
static u64 count;

#ifdef INTERRUPTS_OFF
#define BEGIN u32 flags = local_irq_save()
#define END local_irq_restore(flags)
#else
#define BEGIN
#define END
#endif

#ifdef BY_NMI
#define INTERRUPT NMI
#else
#define INTERRUPT IRQ
#endif

static inline void store_all(void)
{
	WRITE_ONCE(word, 1);
	WRITE_ONCE(word, 2);
	WRITE_ONCE(word, 3);
}

static inline void add_one(void)
{
#ifdef UNLOCKED
	this_cpu_add(&count, 1);
#else
	WRITE_ONCE(count, READ_ONCE(count) + 1);
#endif
}

#if defined(INCREMENT)
INTERRUPT(0, 1, interrupt)
{
	add_one();
	WRITE_ONCE(seen, 1);
}

TASK(0, task)
{
	BEGIN;
	add_one();
	END;
}

/* How many were lost. */
FINAL_CHECK { explore_outcome(1 + seen - count); }
#elif defined(WAITS)
INTERRUPT(0, 1, interrupt)
{
	WRITE_ONCE(seen, 1);
}

TASK(0, task)
{
	while (!READ_ONCE(seen))
		machine_relax_while(&seen, 0);
}

FINAL_CHECK { explore_outcome(seen); }
#elif defined(BOTH)
static void note(u32 digit)
{
	WRITE_ONCE(seen, READ_ONCE(seen) * 10 + digit);
}

IRQ(0, 1, device) { note(1); }
NMI(0, 1, nmi) { note(2); }

TASK(0, task)
{
	BEGIN;
	note(3);
	END;
}

FINAL_CHECK { explore_outcome(seen); }
#elif defined(NESTED)
IRQ(0, 1, device)
{
	local_irq_enable();
	store_all();
	local_irq_disable();
}

INTERRUPT(0, 1, other)
{
	WRITE_ONCE(seen, READ_ONCE(word));
}

TASK(0, task)
{
}

FINAL_CHECK { explore_outcome(seen); }
#else
INTERRUPT(0, 1, interrupt)
{
	WRITE_ONCE(seen, READ_ONCE(word));
}

#ifdef REMOTE
TASK(1, task)
#else
TASK(0, task)
#endif
{
	BEGIN;
	store_all();
	END;
}

FINAL_CHECK { explore_outcome(seen); }
#endif
