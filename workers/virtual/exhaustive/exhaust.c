// SPDX-License-Identifier: MIT
/* EXHAUST: every schedule below a prefix, by one of the strategies that can tell when to end. */
#include "exhaustive/exhaust.h"
#include "jobs/job.h"

#include <string.h>

struct exhaust_root exhaust_root;

/* All of the result that tells of the failing run, but its schedule. */
static u8 failure[offsetof(struct explore_result, schedule) -
		  offsetof(struct explore_result, finding)];
static struct intervention failing[MAX_INTERVENTIONS];
static u32 nr_failing;

static void keep_failure(void)
{
	struct explore_result *result = &the_explore->result;

	result->failing_run = result->executions - 1;
	result->signature = signature_of(RUN_FAILED);
	memcpy(failure, &result->finding, sizeof(failure));
	nr_failing = engine.nr_made;
	memcpy(failing, made, nr_failing * sizeof(made[0]));
}

static void show_failure(void)
{
	struct explore_result *result = &the_explore->result;

	if (result->failing_run == ~0UL) {
		keep_schedule();
		return;
	}
	result->end = RUN_FAILED;
	memcpy(&result->finding, failure, sizeof(failure));
	result->nr_interventions = nr_failing;
	memcpy(result->schedule, failing, nr_failing * sizeof(made[0]));
}

/* Run after run, until the strategy has no other. False: ended before. */
static bool search_all(void)
{
	const struct explore_job *job = &the_explore->job;
	struct explore_result *result = &the_explore->result;

	for (u64 run = 0; ; run++) {
		if (result->executions >= job->runs || READ_ONCE(the_explore->stop))
			return false;
		result->end = counted_run(run);
		if (result->end == RUN_DIVERGED)
			return false;
		if (result->end == RUN_FAILED && result->failing_run == ~0UL)
			keep_failure();
		if (result->end == RUN_FAILED && !(job->flags & EXPLORE_ALL))
			return false;
		if (!engine.strategy->end(result->end))
			return true;
	}
}

/* With 0, 1, 2, ... preemptions: what is found has as few as it can have. */
static bool search_bounded(u32 most)
{
	struct explore_result *result = &the_explore->result;

	for (bounded_limit = 0; bounded_limit <= most; bounded_limit++) {
		bool more = bounded_limit < most;
		u64 ends[RUN_ENDS];

		bounded_cut = false;
		memcpy(ends, result->ends, sizeof(ends));
		if (!search_all())
			return false;
		if (!bounded_cut)
			return true;
		/* The next bound does these again. */
		if (more && result->failing_run == ~0UL)
			memcpy(result->ends, ends, sizeof(ends));
	}
	result->all_within = !result->bounded && !engine.surprised && !engine.left_out;
	result->bounded = 1;
	return true;
}

void exhaust_job(void)
{
	const struct explore_job *job = &the_explore->job;
	struct explore_result *result = &the_explore->result;
	bool all;

	if (job->nr_prefix > ARRAY_SIZE(job->prefix))
		return;
	exhaust_root = (struct exhaust_root){ job->prefix, job->prefix_sleep, job->nr_prefix };
	if (job->depth) {
		engine.strategy = &bounded_strategy;
		all = search_bounded(job->depth - 1);
	} else {
		/* Who has read and written what is no part of a state. */
		if (engine.strategy == &stateful_strategy)
			engine.races = 0;
		all = engine.strategy->end && search_all();
	}
	result->states = stateful_states;
	if (stateful_full)
		result->bounded = 1;
	result->complete = all && !result->bounded && !engine.surprised && !engine.left_out;
	show_failure();
}
