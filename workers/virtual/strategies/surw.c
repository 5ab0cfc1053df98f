// SPDX-License-Identifier: MIT
/*
 * Selectively uniform random walk (Zhao et al., "Selectively Uniform Concurrency
 * Testing", ASPLOS 2025). In each run the accesses to a few shared words are of
 * interest. Which agent does the next one is drawn, with a probability
 * proportional to how many it has still to do, so that each interleaving of them
 * is about equally likely; until then no other agent does such an access.
 *
 * Where nothing is known to be shared, all steps are of interest. What there is,
 * and how often, was seen in the first runs of the batch.
 */
#include "strategies/interest.h"

#define MAX_CHOSEN 3          /* words of interest */
#define NOBODY AGENTS

static struct rng rng;
static u64 chosen[MAX_CHOSEN];
static u32 nr_chosen;
static u32 left_of[ACCESSING];/* accesses of interest that each agent has still to do */
static u32 intended;          /* does the next of them; NOBODY = not drawn */
static bool ordered;          /* what is of no interest goes by priority, not evenly */
static u32 priority[AGENTS];
static u64 known;             /* agents that have one */

static bool is_chosen(u64 addr)
{
	for (u32 n = 0; n < nr_chosen; n++) {
		if (chosen[n] == addr)
			return true;
	}
	return false;
}

static void choose_words(void)
{
	u32 count = 1 + rng_below(&rng, MAX_CHOSEN);

	nr_chosen = 0;
	for (u32 agent = 0; agent < ACCESSING; agent++)
		left_of[agent] = 0;
	if (!nr_shared_words)
		return;
	while (count--) {
		const struct word *word = shared_words[rng_below(&rng, nr_shared_words)];

		if (is_chosen(word->addr))
			continue;
		chosen[nr_chosen++] = word->addr;
		for (u32 agent = 0; agent < ACCESSING; agent++)
			left_of[agent] += word->most[agent];
	}
}

static void surw_begin(u64 run)
{
	rng = rng_of_run(the_explore->job.seed, run);
	known = 0;
	intended = NOBODY;
	choose_words();
	ordered = rng_below(&rng, 2);
}

/* Steps of interest that the agent will do from now on; at least the one that is pending. */
static u32 steps_left(u32 agent)
{
	u32 done;

	if (nr_chosen)
		return agent < ACCESSING && left_of[agent] ? left_of[agent] : 1;
	done = agent_steps(agent);
	return learned.steps[agent] > done ? learned.steps[agent] - done : 1;
}

/* One of @agents, by the steps that it has left. */
static u32 draw_by_steps(u64 agents)
{
	u32 sum = 0, place;

	for (u64 left = agents; left; left &= left - 1)
		sum += steps_left(__builtin_ctzl(left));
	place = rng_below(&rng, sum);
	for (u64 left = agents; ; left &= left - 1) {
		u32 agent = __builtin_ctzl(left), share = steps_left(agent);

		if (place < share)
			return agent;
		place -= share;
	}
}

static void draw_intended(void)
{
	u64 agents = 0;

	for (u32 agent = 0; agent < ACCESSING; agent++)
		agents |= (u64)!!left_of[agent] << agent;
	intended = agents ? draw_by_steps(agents) : NOBODY;
}

static u32 draw_other(u64 agents)
{
	if (!ordered)
		return nth_agent(agents, rng_below(&rng, __builtin_popcountl(agents)));
	for (u64 left = agents & ~known; left; left &= left - 1) {
		u32 new = __builtin_ctzl(left);

		priority[new] = draw_priority(&rng, new);
	}
	known |= agents;
	return highest_agent(agents, priority);
}

static u32 surw_choose(u64 enabled)
{
	u64 active = enabled & ~engine.spinning ? enabled & ~engine.spinning : enabled;
	u64 of_interest = 0, others;
	u32 agent;

	if (!nr_chosen)
		return draw_by_steps(enabled);
	for (u64 left = active; left; left &= left - 1) {
		u32 one = __builtin_ctzl(left);

		of_interest |= (u64)is_chosen(word_of(one)) << one;
	}
	if (intended == NOBODY)
		draw_intended();
	others = active & ~of_interest;
	if (intended != NOBODY)
		others |= active & 1UL << intended;
	/* The one that is meant cannot go: it may wait for one of those that must not. */
	agent = others ? draw_other(others) : draw_by_steps(active);
	if (of_interest >> agent & 1) {
		if (left_of[agent])
			left_of[agent]--;
		intended = NOBODY;
	}
	return agent;
}

const struct strategy surw_strategy = {
	.name = "surw",
	.watches = true,
	.begin = surw_begin,
	.choose = surw_choose,
	.pick = pick_at_random,
};
