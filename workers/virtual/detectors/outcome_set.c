// SPDX-License-Identifier: MIT
/* A hash table of what runs came to. It lies in the result: Python reads the slots in use. */
#include "detectors/outcome_set.h"

#include <outcome.h>

#define HASH_FACTOR 0x9e3779b97f4a7c15UL

bool outcome_given;

static u64 outcome;           /* of this run */

void explore_outcome(u64 value)
{
	outcome = value;
	outcome_given = true;
}

u64 outcome_so_far(void)
{
	return outcome_given ? outcome + 1 : 0;
}

static void outcome_add(u64 value)
{
	struct explore_result *result = &the_explore->result;
	u32 place = value * HASH_FACTOR >> 32;

	/* The job's first one: what is there is of an older job. */
	if (!result->nr_outcomes)
		__builtin_memset(result->outcome, 0, sizeof(result->outcome));
	for (u32 n = 0; n < MAX_OUTCOMES; n++, place++) {
		struct outcome *slot = &result->outcome[place % MAX_OUTCOMES];

		if (!slot->runs) {
			slot->value = value;
			result->nr_outcomes++;
		}
		if (slot->value == value) {
			slot->runs++;
			return;
		}
	}
	result->lost_outcomes++;
}

void outcome_count(enum run_end end)
{
	if (unlikely(outcome_given) && end == RUN_PASSED)
		outcome_add(outcome);
}
