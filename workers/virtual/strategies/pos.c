// SPDX-License-Identifier: MIT
/*
 * Partial order sampling (Yuan et al., CAV 2018): each operation gets a random
 * priority when it becomes pending, the highest goes, and those that race with
 * it draw anew. What does not race keeps its place, so that no order of racing
 * operations is rare only because others lie between.
 */
#include "strategies/strategy.h"

static struct rng rng;
static u32 priority[AGENTS];
static u32 number[AGENTS];    /* of the operation that the priority is of */
static u64 known;             /* agents whose priority is drawn */

static void pos_begin(u64 run)
{
	rng = rng_of_run(the_explore->job.seed, run);
	known = 0;
}

/* What tells the pending operation of an agent from its earlier ones. */
static u32 operation_number(u32 agent)
{
	struct vcpu *cpu = &engine.vcpu[AGENT_OF_CPU(agent)];

	if (AGENT_KIND(agent) == AGENT_DRAIN)
		return oldest_store(cpu)->number;
	return cpu->events;
}

static u32 pos_choose(u64 enabled)
{
	u64 candidates = enabled & ~engine.spinning ? enabled & ~engine.spinning : enabled;
	u32 best = AGENTS;

	for (u64 left = candidates; left; left &= left - 1) {
		u32 agent = __builtin_ctzl(left), operation = operation_number(agent);

		if (!(known >> agent & 1) || number[agent] != operation) {
			priority[agent] = draw_priority(&rng, agent);
			number[agent] = operation;
		}
		if (best == AGENTS || priority[agent] > priority[best])
			best = agent;
	}
	known |= candidates;
	for (u64 left = known & enabled & ~(1UL << best); left; left &= left - 1) {
		u32 agent = __builtin_ctzl(left);

		if (agents_depend(agent, best))
			known &= ~(1UL << agent);
	}
	known &= ~(1UL << best);
	return best;
}

const struct strategy pos_strategy = {
	.name = "pos",
	.begin = pos_begin,
	.choose = pos_choose,
	.pick = pick_at_random,
};
