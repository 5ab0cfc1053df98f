/* SPDX-License-Identifier: MIT */
/* What explore.h has put into sections; missing in a core without such a file. */
#ifndef WORKERS_EXPLORED_H
#define WORKERS_EXPLORED_H

#include <shm_layout/explore.h>

#define EXPLORED_SECTION(type, name) \
	extern const type __start_##name[] __attribute__((weak)); \
	extern const type __stop_##name[] __attribute__((weak))

typedef void (*explored_function_t)(void);

EXPLORED_SECTION(struct explored_task, explored_tasks);
EXPLORED_SECTION(struct explored_interrupt, explored_interrupts);
EXPLORED_SECTION(explored_function_t, explored_inits);
EXPLORED_SECTION(explored_function_t, explored_checks);
EXPLORED_SECTION(u32, explored_cpus);

#endif
