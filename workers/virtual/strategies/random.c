// SPDX-License-Identifier: MIT
/* Uniform choice, and one in which each agent has another weight in each run. */
#include "strategies/strategy.h"

#define MAX_WEIGHT_BITS 8     /* weights are 1, 2, 4, ... */

static struct rng rng;
static u8 weight[AGENTS];
static u64 known;             /* agents whose weight is drawn */

static void random_begin(u64 run)
{
	rng = rng_of_run(the_explore->job.seed, run);
	known = 0;
}

static u32 random_choose(u64 enabled)
{
	return nth_agent(enabled, rng_below(&rng, __builtin_popcountl(enabled)));
}

static u32 weighted_choose(u64 enabled)
{
	u32 sum = 0, place;

	for (u64 left = enabled & ~known; left; left &= left - 1)
		weight[__builtin_ctzl(left)] = 1u << rng_below(&rng, MAX_WEIGHT_BITS);
	known |= enabled;
	for (u64 left = enabled; left; left &= left - 1)
		sum += weight[__builtin_ctzl(left)];
	place = rng_below(&rng, sum);
	for (u64 left = enabled; ; left &= left - 1) {
		u32 agent = __builtin_ctzl(left);

		if (place < weight[agent])
			return agent;
		place -= weight[agent];
	}
}

const struct strategy random_strategy = {
	.name = "random",
	.begin = random_begin,
	.choose = random_choose,
	.pick = pick_at_random,
};

const struct strategy weighted_strategy = {
	.name = "weighted",
	.begin = random_begin,
	.choose = weighted_choose,
	.pick = pick_at_random,
};
