/* SPDX-License-Identifier: MIT */
/* What a program came to, in one number: the explorer collects the different ones. */
#ifndef WORKERS_OUTCOME_H
#define WORKERS_OUTCOME_H

#include <shm_layout/types.h>

/**
 * explore_outcome() - say what this run came to
 * @value: registers, memory, whatever tells one end of the program from another
 *
 * The last call of a run counts. Only a run that passes has an outcome; that of
 * an exhaustive and complete search is the set of all that can be.
 *
 * Context: any explored code; no operation that others could notice.
 */
void explore_outcome(u64 value);

#endif
