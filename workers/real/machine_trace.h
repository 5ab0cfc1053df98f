/* SPDX-License-Identifier: MIT */
/* An event goes into the ring of its CPU: a few nanoseconds, always on. */
#ifndef REAL_MACHINE_TRACE_H
#define REAL_MACHINE_TRACE_H

#include <machine.h>

static inline void trace_event(enum event_type type, u64 a, u64 b)
{
	struct cpu *cpu = this_cpu();
	u64 place = this_cpu_fetch_add(&cpu->ring.next, 1);
	struct event *event = &cpu->ring.event[place % RING_EVENTS];

	event->type = type;
	event->task = cpu->curr ? cpu->curr->index : 0;
	event->a = a;
	event->b = b;
	event->tsc = machine_cycles();
}

#endif
