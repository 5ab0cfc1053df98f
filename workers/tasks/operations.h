/* SPDX-License-Identifier: MIT */
/* Run the tasks of a scenario. */
#ifndef TASKS_OPERATIONS_H
#define TASKS_OPERATIONS_H

#include <shm_layout/scenario.h>

/* Do one operation, in the context that it is for. */
void operation_do(struct scenario_task *task, const struct operation *operation);

/* A task's function; its argument is a struct scenario_task. */
s64 scenario_run(void *argument);

/* The same for one round, which nothing begins or ends: whoever started the tasks sees to that. */
s64 scenario_run_once(void *argument);

#endif
