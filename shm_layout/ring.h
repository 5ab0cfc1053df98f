/* SPDX-License-Identifier: MIT */
/* What a CPU did lately: one ring per CPU, always on, read after a finding. */
#ifndef SHM_LAYOUT_RING_H
#define SHM_LAYOUT_RING_H

#include "types.h"

enum event_type {
	EVENT_NONE,
	EVENT_IRQ,            /* a = pending bits, b = interrupted ip */
	EVENT_IPI_SEND,       /* a = target cpu, b = bits */
	EVENT_CALL_SEND,      /* a = function, b = number of targets */
	EVENT_CALL_RUN,       /* a = function, b = info */
	EVENT_SWITCH,         /* a = task switched to, b = 1 if preempted */
	EVENT_WAKE,           /* a = task woken, b = its cpu */
	EVENT_STOP_STATE,     /* a = multi_stop state reached, b = stop function */
	EVENT_GP_START,       /* a = rcu sequence */
	EVENT_GP_END,         /* a = rcu sequence */
	EVENT_QS,             /* a = rcu sequence, b = 1 if reported late */
	EVENT_POKE,           /* a = text address, b = first 8 bytes written */
	EVENT_INT3,           /* a = text address, b = 1 poke, 2 kprobe, 0 nobody */
	EVENT_SINGLESTEP,     /* a = ip after the step, b = slot */
	EVENT_HANDLER,        /* a = kprobe, b = text address */
	EVENT_MISSED,         /* a = kprobe, b = text address */
	EVENT_REGISTER,       /* a = kprobe, b = result */
	EVENT_UNREGISTER,     /* a = kprobe, b = text address */
	EVENT_ENABLE,         /* a = kprobe, b = result */
	EVENT_DISABLE,        /* a = kprobe, b = result */
	EVENT_ALLOC,          /* a = object, b = size */
	EVENT_FREE,           /* a = object, b = size */
	EVENT_TEXT_CALL,      /* a = text address */
	EVENT_FINDING,        /* a = kind, b = place */
	EVENT_USER,           /* a, b: the harness's own */
	EVENT_NMI,            /* a = lines, b = interrupted ip */
	EVENT_TYPES
};

struct event {
	u64 tsc;              /* time stamp counter, cycles; 0 = never written */
	u32 type;             /* enum event_type */
	u32 task;             /* index of the task that ran */
	u64 a;
	u64 b;
};

/* Written by the owning CPU alone; interrupts reserve a place by one unlocked add. */
struct ring {
	u64 next;             /* events ever written */
	u64 pad[7];
	struct event event[RING_EVENTS];
};

static_assert(sizeof(struct event) == 32, "two events per cache line");

#endif
