// SPDX-License-Identifier: MIT
/* A mix of strategies, because none is best for every bug; which one, the run's number says. */
#include "strategies/strategy.h"

static const struct {
	const struct strategy *strategy;
	u32 share;            /* percent */
} members[] = {
	{ &pct_strategy, 35 },
	{ &pos_strategy, 20 },
	{ &random_strategy, 5 },
	{ &weighted_strategy, 10 },
	{ &surw_strategy, 30 },
};

static u32 (*choose)(u64 enabled);

static void portfolio_begin(u64 run)
{
	/* Of another seed than the run's own choices. */
	struct rng rng = rng_of_run(~the_explore->job.seed, run);
	u32 place = rng_below(&rng, 100), n = 0;

	while (place >= members[n].share)
		place -= members[n++].share;
	members[n].strategy->begin(run);
	choose = members[n].strategy->choose;
}

static u32 portfolio_choose(u64 enabled)
{
	return choose(enabled);
}

const struct strategy portfolio_strategy = {
	.name = "portfolio",
	.watches = true,
	.begin = portfolio_begin,
	.choose = portfolio_choose,
	.pick = pick_at_random,
};
