// SPDX-License-Identifier: MIT
/* One job: set the engine up as it says, and do it. */
#include "jobs/job.h"
#include "detectors/report.h"

#include <string.h>
#include <time.h>

#define DEFAULT_STEPS 100000

int control_fd, status_fd;

static const struct strategy *const strategies[STRATEGIES] = {
	[STRATEGY_RANDOM] = &random_strategy,
	[STRATEGY_WEIGHTED] = &weighted_strategy,
	[STRATEGY_PCT] = &pct_strategy,
	[STRATEGY_POS] = &pos_strategy,
	[STRATEGY_SURW] = &surw_strategy,
	[STRATEGY_PORTFOLIO] = &portfolio_strategy,
	[STRATEGY_SLEEP] = &sleep_strategy,
	[STRATEGY_DPOR] = &dpor_strategy,
	[STRATEGY_STATEFUL] = &stateful_strategy,
	[STRATEGY_REPLAY] = &replay_strategy,
	[STRATEGY_PYTHON] = &python_strategy,
	[STRATEGY_ROUND_ROBIN] = &round_robin_strategy,
};

static void (*const commands[])(void) = {
	[EXPLORE_SEARCH] = search_job,
	[EXPLORE_EXHAUST] = exhaust_job,
	[EXPLORE_REPLAY] = replay_job,
	[EXPLORE_MINIMIZE] = minimize_job,
	[EXPLORE_SPLIT] = split_job,
};

const struct strategy *strategy_of(u32 number)
{
	return number < STRATEGIES ? strategies[number] : NULL;
}

static u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000UL + now.tv_nsec;
}

bool do_job(void)
{
	const struct explore_job *job = &the_explore->job;
	struct explore_result *result = &the_explore->result;
	u64 begun = now_ns();

	/* All but the arrays, whose lengths are among it. */
	memset(result, 0, offsetof(struct explore_result, schedule));
	result->failing_run = NO_RUN;
	the_explore->progress = 0;
	if (job->command >= ARRAY_SIZE(commands) || !commands[job->command] ||
	    !strategy_of(job->strategy) || job->buffer > VIRTUAL_STORES ||
	    job->nr_interventions > MAX_INTERVENTIONS)
		return false;
	engine.limit = job->flags & EXPLORE_SC ? 0 : job->buffer ? job->buffer : DEFAULT_STORES;
	engine.max_steps = job->max_steps ? job->max_steps : DEFAULT_STEPS;
	engine.races = !!(job->flags & EXPLORE_RACES);
	engine.show = 0;
	engine.decisions = engine.total_steps = 0;
	engine.strategy = strategy_of(job->strategy);
	commands[job->command]();
	engine.show = 0;
	result->nanoseconds = now_ns() - begun;
	return true;
}
