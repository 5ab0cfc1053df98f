/* SPDX-License-Identifier: MIT */
/*
 * Gates: real CPUs go in the order of one run of the explorer.
 *
 * The compiler's hooks tell of each access before it is made. A CPU that comes to
 * the place where its next turn begins has ended its turn before, and stands until
 * all turns in between have ended. Waiting is bounded: then every gate opens.
 */
#ifndef GATED_GATES_H
#define GATED_GATES_H

#include <machine.h>
#include <shm_layout/gates.h>

extern struct gates gates;

/* This CPU is about to access @size bytes at @addr; @pc is where the hook returns to. */
void gate_slowpath(u64 pc, u64 addr, u32 size);

static inline void gate_access(u64 pc, u64 addr, u32 size)
{
	if (unlikely(READ_ONCE(gates.armed)))
		gate_slowpath(pc, addr, size);
}

/* This CPU can do nothing before others have: whatever turn it had is over. */
void gate_rest(void);

/* This thread takes no interrupts but at gates. */
bool gate_holds_irqs(void);

/* The running task begins: interrupts come at gates alone, as long as there are gates. */
void gate_begin_task(void);

#endif
