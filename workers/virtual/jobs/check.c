// SPDX-License-Identifier: MIT
/*
 * Is what we explore deterministic? A run is done again by its schedule; all
 * that it did must be the same.
 */
#include "jobs/job.h"

#include <string.h>

/* What two runs by one schedule have in common. */
struct digest {
	u64 trail;
	u64 signature;
	u32 end, choices, steps, interventions;
};

static struct digest digest_of(enum run_end end)
{
	return (struct digest){
		.trail = engine.trail,
		.signature = signature_of(end),
		.end = end,
		.choices = engine.nr_choices,
		.steps = engine.steps,
		.interventions = engine.nr_made,
	};
}

bool check_last_run(enum run_end end)
{
	static struct intervention schedule[MAX_INTERVENTIONS];
	struct explore_result *result = &the_explore->result;
	struct digest first = digest_of(end), second;
	u32 count = engine.nr_made;

	/* It was cut off where there was no room for its schedule. */
	if (count == MAX_INTERVENTIONS)
		return true;
	memcpy(schedule, made, count * sizeof(made[0]));
	second = digest_of(run_by_schedule(schedule, count, true));
	if (!memcmp(&first, &second, sizeof(first)))
		return true;
	result->end = RUN_DIVERGED;
	result->diverged = second.choices + 1;
	return false;
}
