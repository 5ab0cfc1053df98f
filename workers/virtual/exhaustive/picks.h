/* SPDX-License-Identifier: MIT */
/*
 * Choices of data in exhaustive searches: every option is tried, whatever else is
 * left out. A pick belongs to the step before, so the strategies know nothing of
 * it but where it lies among their own nodes; sleep sets and clocks pass through.
 */
#ifndef VIRTUAL_PICKS_H
#define VIRTUAL_PICKS_H

#include "strategies/strategy.h"

/* A search begins. */
void picks_reset(void);
/* The way begins with @option, after @nodes nodes. */
void picks_fix(u32 nodes, u32 option);
/* A run begins. */
void picks_begin(void);
/* After @nodes nodes of this run: the option to take. */
u32 picks_take(u32 nodes, u32 options);
/* All picks on the way have been taken: the next one is new. */
bool picks_is_new(void);
/*
 * What begins with the picks on the way has been seen. True: the last of those
 * after @nodes nodes has gone on to its next option; those without one are gone.
 */
bool picks_next(u32 nodes);

#endif
