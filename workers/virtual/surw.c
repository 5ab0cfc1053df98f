// SPDX-License-Identifier: MIT
/*
 * Uniform random walk (Zhao et al., "Selectively Uniform Concurrency Testing",
 * ASPLOS 2025): an agent goes with a probability proportional to the steps that
 * it has still to do, so that each interleaving is about equally likely. How
 * many steps there are was seen in the first runs of the batch.
 */
#include "strategy.h"

static struct rng rng;

static void surw_begin(u64 run)
{
	rng = rng_of_run(the_explore->job.seed, run);
}

/* Steps that the agent will do from now on; at least the one that is pending. */
static u32 steps_left(u32 agent)
{
	u32 done = agent_steps(agent);

	return learned.steps[agent] > done ? learned.steps[agent] - done : 1;
}

static u32 surw_choose(u64 enabled)
{
	u32 sum = 0, place;

	for (u64 left = enabled; left; left &= left - 1)
		sum += steps_left(__builtin_ctzl(left));
	place = rng_below(&rng, sum);
	for (u64 left = enabled; ; left &= left - 1) {
		u32 agent = __builtin_ctzl(left), share = steps_left(agent);

		if (place < share)
			return agent;
		place -= share;
	}
}

const struct strategy surw_strategy = {
	.name = "surw",
	.begin = surw_begin,
	.choose = surw_choose,
};
