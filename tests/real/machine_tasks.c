/* SPDX-License-Identifier: MIT */
/* What the tests of the machine have its CPUs do. */
#include <kernel/kthread.h>
#include <kernel/sched.h>
#include <machine.h>

struct turns {
	u64 turns;            /* the task adds; Python reads */
	s32 cpu;              /* where it ran; the task writes */
	u32 pad;
};

u64 calls;                    /* CPU 0 adds; Python reads */
u32 gate;                     /* 1 = wait_for_gate() returns; Python writes */

s64 add(s64 a, s64 b)
{
	calls++;
	return a + b;
}

s64 wait_for_gate(void)
{
	while (!READ_ONCE(gate))
		cond_resched();
	return 7;
}

s64 turn_until_stopped(void *argument)
{
	struct turns *turns = argument;

	turns->cpu = smp_processor_id();
	do {
		turns->turns++;
		cond_resched();
	} while (!READ_ONCE(the_machine->stop));
	return 0;
}

s64 write_to(u64 address)
{
	*(volatile u32 *)address = 1; /* write_to */
	return 0;
}
