/* SPDX-License-Identifier: MIT */
/* Bring-up. */
#ifndef KERNEL_INIT_H
#define KERNEL_INIT_H

#include <machine.h>

/* Before the first CPU runs; no CPU, no task: only data. */
void kernel_early_init(void);

s64 kernel_init_task(void *unused);

#endif
