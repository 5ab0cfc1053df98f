/* SPDX-License-Identifier: MIT */
/* Where the tasks of a scenario wait for each other, to go on together. */
#ifndef TASKS_RENDEZVOUS_H
#define TASKS_RENDEZVOUS_H

#include <shm_layout/scenario.h>

/*
 * Return when as many tasks as take part have called this. The last one calls @last first,
 * while the others wait; NULL = nothing. Context: task, may sleep.
 */
void rendezvous_wait(struct rendezvous *rendezvous, struct scenario_task *task,
		     void (*last)(struct scenario *scenario));

#endif
