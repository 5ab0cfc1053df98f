/* SPDX-License-Identifier: MIT */
/* Who goes next. Each strategy is one small file behind struct strategy (engine.h). */
#ifndef VIRTUAL_STRATEGY_H
#define VIRTUAL_STRATEGY_H

#include "engine.h"

/* xorshift64*: deterministic, never 0. */
struct rng { u64 state; };

static inline u64 rng_next(struct rng *rng)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * 0x2545f4914f6cdd1dUL;
}

/* 0..n-1 */
static inline u32 rng_below(struct rng *rng, u32 n)
{
	return (rng_next(rng) >> 32) * n >> 32;
}

/* A generator of its own for each run: the same however many processes share the runs. */
static inline struct rng rng_of_run(u64 seed, u64 run)
{
	u64 mixed = seed * 0x9e3779b97f4a7c15UL + run;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9UL;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebUL;
	return (struct rng){ (mixed ^ mixed >> 31) | 1 };
}

/*
 * Runs come in batches, and strategies that learn begin anew in each: so what a
 * run does follows from the seed and its number, whoever did the runs before.
 */
#define BATCH 1024
#define LEARNING_RUNS 8

/* Of the first runs of this batch. */
struct learned {
	u32 choices;          /* most */
	u32 steps[AGENTS];    /* most of each agent; 0 = it did none */
};

extern struct learned learned;

/* Steps that an agent has done in this run, as far as they are counted. */
static inline u32 agent_steps(u32 agent)
{
	const struct vcpu *cpu = &engine.vcpu[AGENT_OF_CPU(agent)];

	switch (AGENT_KIND(agent)) {
	case AGENT_CPU: return cpu->events;
	case AGENT_DRAIN: return cpu->stores - cpu->count;
	}
	return 0;
}

/*
 * For strategies in which the agent of the highest priority goes. A drain's is
 * the lower one of two: stores that stay in their buffers are what programs do
 * not expect.
 */
static inline u32 draw_priority(struct rng *rng, u32 agent)
{
	u32 first = rng_next(rng) >> 32, second;

	if (AGENT_KIND(agent) != AGENT_DRAIN)
		return first;
	second = rng_next(rng) >> 32;
	return first < second ? first : second;
}

/* pick.c: the pick() of strategies that sample; a run of that number begins. */
u32 pick_at_random(struct vcpu *cpu, u32 options);
void pick_begin(u64 run);

/* Of @agents, the one whose @priority is the highest. */
static inline u32 highest_agent(u64 agents, const u32 priority[AGENTS])
{
	u32 best = __builtin_ctzl(agents);

	for (u64 left = agents & (agents - 1); left; left &= left - 1) {
		u32 agent = __builtin_ctzl(left);

		if (priority[agent] > priority[best])
			best = agent;
	}
	return best;
}

/* The agent that is the @n-th set bit. */
static inline u32 nth_agent(u64 enabled, u32 n)
{
	/* Without branches where n is small: they could not be predicted. */
	u64 one = enabled & (enabled - 1), two = one & (one - 1), three = two & (two - 1);

	if (unlikely(n > 3)) {
		for (; n > 3; n--)
			three &= three - 1;
	}
	enabled = n == 0 ? enabled : n == 1 ? one : n == 2 ? two : three;
	return __builtin_ctzl(enabled);
}

/* Do the next operations of @a and @b, both possible now, matter to each other? */
bool agents_depend(u32 a, u32 b);

extern const struct strategy random_strategy, weighted_strategy, pct_strategy, pos_strategy,
	surw_strategy, portfolio_strategy, sleep_strategy, dpor_strategy, stateful_strategy,
	replay_strategy, python_strategy, round_robin_strategy;

#endif
