// SPDX-License-Identifier: MIT
/*
 * Runs of a strategy, by number. What a run does depends on the seed and its
 * number alone, so any number of processes can share them.
 */
#include "strategies/interest.h"
#include "jobs/job.h"
#include "detectors/outcome_set.h"

#include <string.h>

#define CHECK_FIRST 8         /* self-check: the first runs of a job, */
#define CHECK_EVERY 256       /* and then one in so many */

struct learned learned;

/* From a run that has just ended. */
static void learn(void)
{
	if (engine.nr_choices > learned.choices)
		learned.choices = engine.nr_choices;
	for (u32 cpu = 0; cpu < engine.nr_cpus; cpu++) {
		for (u32 agent = cpu; agent < AGENT(AGENT_IRQ, 0); agent += VIRTUAL_CPUS) {
			u32 steps = agent_steps(agent);

			if (steps > learned.steps[agent])
				learned.steps[agent] = steps;
		}
	}
}

enum run_end numbered_run(u64 run)
{
	bool learns = run % BATCH < LEARNING_RUNS;
	enum run_end end;

	if (run % BATCH == 0) {
		memset(&learned, 0, sizeof(learned));
		interest_forget();
	}
	pick_begin(run);
	if (engine.strategy->begin)
		engine.strategy->begin(run);
	end = learns && engine.strategy->watches ? interest_run() : engine_run();
	if (learns)
		learn();
	return end;
}

/* Another process does the first runs of this batch; what they teach is needed here, too. */
static void learn_from_batch(u64 run)
{
	struct explore_result *result = &the_explore->result;
	u64 first = run - run % BATCH;

	for (u64 n = first;
	     n < run && n < first + LEARNING_RUNS && !READ_ONCE(the_explore->stop); n++)
		numbered_run(n);
	/* What they may have found is for that process to report. */
	memset(&result->finding, 0, offsetof(struct explore_result, schedule) -
				    offsetof(struct explore_result, finding));
}

enum run_end counted_run(u64 run)
{
	struct explore_result *result = &the_explore->result;
	enum run_end end = numbered_run(run);

	result->executions++;
	result->ends[end]++;
	outcome_count(end);
	result->decisions += engine.nr_choices;
	result->steps += engine.steps;
	if (engine.steps > result->longest)
		result->longest = engine.steps;
	if (end == RUN_BOUND)
		result->bounded = 1;
	the_explore->progress = result->executions;
	return end;
}

void keep_schedule(void)
{
	struct explore_result *result = &the_explore->result;

	result->nr_interventions = engine.nr_made;
	memcpy(result->schedule, made, engine.nr_made * sizeof(made[0]));
	result->nr_checkpoints = engine.nr_choices / CHECKPOINT_CHOICES;
	if (result->nr_checkpoints > MAX_CHECKPOINTS)
		result->nr_checkpoints = MAX_CHECKPOINTS;
}

/* Runs after the first failing one have written over what it found: do it again. */
static void return_to_failure(void)
{
	struct explore_result *result = &the_explore->result;

	result->end = run_by_schedule(result->schedule, result->nr_interventions, true);
	result->replays--;
	keep_schedule();
}

static bool is_checked(u64 number)
{
	return the_explore->job.flags & EXPLORE_CHECK &&
	       (number < CHECK_FIRST || number % CHECK_EVERY == 0);
}

void search_job(void)
{
	const struct explore_job *job = &the_explore->job;
	struct explore_result *result = &the_explore->result;
	u64 run = job->first_run, end = job->first_run + job->runs;

	if (engine.strategy->begin)
		learn_from_batch(run);
	for (; run < end && !READ_ONCE(the_explore->stop); run++) {
		result->end = counted_run(run);
		if (result->end == RUN_FAILED && result->failing_run == NO_RUN) {
			result->failing_run = run;
			result->signature = signature_of(RUN_FAILED);
			keep_schedule();
		}
		if (is_checked(run - job->first_run) && !check_last_run(result->end))
			return;
		if (result->end == RUN_DIVERGED ||
		    (result->end == RUN_FAILED && !(job->flags & EXPLORE_ALL)))
			return;
	}
	if (result->failing_run == NO_RUN)
		keep_schedule();
	else
		return_to_failure();
}
