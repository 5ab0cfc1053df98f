// SPDX-License-Identifier: MIT
/*
 * Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): agents have
 * random priorities, the highest goes, and at depth - 1 random choices the one
 * that would go falls below all others.
 *
 * Drains and interrupts are agents as CPUs are. A CPU that spins goes last.
 */
#include "strategies/strategy.h"

#define MAX_DEPTH 16
#define FIRST_GUESS 4         /* choices of a run, as long as none has been seen */

static struct rng rng;
static u32 priority[AGENTS];
static u64 known;             /* agents that have one */
static u32 changes_left;      /* also the priority at the next change, below all others */
static u32 change[MAX_DEPTH]; /* choices at which to change, the next one last */

static void draw_changes(u32 count, u32 choices)
{
	changes_left = 0;
	for (u32 n = 0; n < count; n++) {
		u32 point = rng_below(&rng, choices), place = changes_left++;

		/* The smallest is last. */
		for (; place && change[place - 1] < point; place--)
			change[place] = change[place - 1];
		change[place] = point;
	}
}

static void pct_begin(u64 run)
{
	u32 depth = the_explore->job.depth;

	rng = rng_of_run(the_explore->job.seed, run);
	known = 0;
	if (!depth)
		depth = 2 + run % 3;
	if (depth > MAX_DEPTH)
		depth = MAX_DEPTH;
	draw_changes(depth - 1, learned.choices ? learned.choices : FIRST_GUESS);
}

static u32 pct_choose(u64 enabled)
{
	u32 agent;

	for (u64 left = enabled & ~known; left; left &= left - 1) {
		u32 new = __builtin_ctzl(left);

		priority[new] = draw_priority(&rng, new) | MAX_DEPTH;
	}
	known |= enabled;
	if (enabled & ~engine.spinning)
		enabled &= ~engine.spinning;
	agent = highest_agent(enabled, priority);
	while (changes_left && change[changes_left - 1] <= engine.nr_choices) {
		priority[agent] = --changes_left;
		agent = highest_agent(enabled, priority);
	}
	/* What comes next of its kind is somebody else, and comes at another time. */
	if (AGENT_KIND(agent) == AGENT_TICK)
		known &= ~(1UL << agent);
	return agent;
}

const struct strategy pct_strategy = {
	.name = "pct",
	.begin = pct_begin,
	.choose = pct_choose,
	.pick = pick_at_random,
};
