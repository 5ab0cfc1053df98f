// SPDX-License-Identifier: MIT
/*
 * A lock that interrupts read: tasks may read it with interrupts on, since a reader in an
 * interrupt waits for a writer only. The interrupt has come and gone when it is held.
 */
// expect: held
// expect -D WRITES_IRQS_ON: violated lock-in-interrupt
// expect -D CALLS_AS_WRITER: violated call-under-lock
#include <explore.h>
#include <kernel/rwlock.h>
#include <kernel/smp.h>

static DEFINE_RWLOCK(lock);
static u32 begun;

static void handler(void *unused)
{
	read_lock(&lock);
	read_unlock(&lock);
}

TASK(0, caller)
{
	/* An interrupt of CPU 1. */
	smp_call_function_single(1, handler, NULL, true);
	/* After the others, so that no run comes to the deadlock. */
	while (!smp_load_acquire(&begun))
		machine_relax_while(&begun, 0);
#ifdef CALLS_AS_WRITER
	write_lock(&lock);
	machine_waits_for_cpus(1 << 1);
	write_unlock(&lock);
#endif
}

TASK(1, called)
{
#ifdef WRITES_IRQS_ON
	write_lock(&lock);
	write_unlock(&lock);
#else
	u32 flags = write_lock_irqsave(&lock);

	write_unlock_irqrestore(&lock, flags);
	read_lock(&lock);
	read_unlock(&lock);
#endif
	smp_store_release(&begun, 1);
	machine_wake(&begun);
}
