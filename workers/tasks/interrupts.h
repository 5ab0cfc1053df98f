/* SPDX-License-Identifier: MIT */
/* The interrupts of a scenario. */
#ifndef TASKS_INTERRUPTS_H
#define TASKS_INTERRUPTS_H

#include <shm_layout/scenario.h>

/* A handler: does once what its struct scenario_interrupt says. */
void scenario_interrupt(void *interrupt);

/*
 * In rounds, by the task that begins them: from now on they come, each as often as
 * it may; they come no more, and none runs; the last round has ended.
 */
void interrupts_allow(struct scenario *scenario);
void interrupts_quiesce(struct scenario *scenario);
void interrupts_end(struct scenario *scenario);

#endif
