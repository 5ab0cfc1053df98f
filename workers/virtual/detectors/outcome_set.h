/* SPDX-License-Identifier: MIT */
/* The set of values that explored programs have given to explore_outcome(). */
#ifndef VIRTUAL_OUTCOME_SET_H
#define VIRTUAL_OUTCOME_SET_H

#include "engine.h"

extern bool outcome_given;    /* by the run that is under way, or was last */

/* A run begins. */
static inline void outcome_begin(void)
{
	outcome_given = false;
}

/* What the run has said of itself; 0 = nothing. */
u64 outcome_so_far(void);
/* The run just made is one of the job's: what it came to joins the set if it passed. */
void outcome_count(enum run_end end);

#endif
