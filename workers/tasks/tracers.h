/* SPDX-License-Identifier: MIT */
/* Tracers of functions as slots: what comes and goes is judged as probes are. */
#ifndef TASKS_TRACERS_H
#define TASKS_TRACERS_H

#include <tasks/judge.h>

/* Does this slot stand for a tracer? Else for a kprobe. */
static inline bool slot_is_tracer(const struct judge_slot *slot)
{
	return slot->nr_traced;
}

/*
 * Register a new tracer for a slot whose life the caller has claimed: 1, or -errno; -ENOENT: the
 * module of a function is not there. unregister: and free.
 */
int tracer_register(struct judge_slot *slot);
void tracer_unregister(struct judge_slot *slot);

#endif
