// SPDX-License-Identifier: MIT
/*
 * Every schedule with at most so many preemptions (Musuvathi and Qadeer, PLDI
 * 2007), without any reduction: sleep sets would leave out a cheap schedule for
 * an equal one that is too dear.
 *
 * A preemption here: the CPU that ran could go on and somebody else does; or a
 * drain, interrupt or tick of a CPU that could go on is not waited for. A choice
 * of data costs nothing: it takes the processor from nobody.
 *
 * Or with at most so many delays (Emmi, Qadeer and Rakamaric, POPL 2011): each
 * choice that is not the default is one, so there are few schedules even where
 * CPUs often have to wait.
 */
#include "exhaustive/depend.h"
#include "exhaustive/exhaust.h"
#include "exhaustive/picks.h"

#define MAX_DEPTH 65536

struct node {
	u64 open;             /* affordable, and not done yet from here */
	u32 spent;            /* before this node */
	u8 agent;             /* taken now */
};

u32 bounded_limit = NO_LIMIT;
bool bounded_cut;

static struct node nodes[MAX_DEPTH];
static u32 nr_nodes;
static u32 depth;
static u32 spent;

/* Those that cost nothing; at least one. */
static u64 free_agents(u64 enabled)
{
	u64 cpus = enabled & CPU_BITS, waiting = ~cpus & CPU_BITS, late;

	if (the_explore->job.flags & EXPLORE_DELAYS)
		return 1UL << engine_default(enabled);
	if (cpus >> engine.current & 1)
		return 1UL << engine.current;
	late = waiting << AGENT(AGENT_DRAIN, 0) | waiting << AGENT(AGENT_IRQ, 0) |
	       waiting << AGENT(AGENT_TICK, 0);
	return enabled & (cpus | late);
}

static void bounded_begin(u64 run)
{
	depth = 0;
	spent = 0;
	picks_begin();
	if (run)
		return;
	picks_reset();
	nr_nodes = 0;
}

static u32 bounded_choose(u64 enabled)
{
	struct node *node = &nodes[depth];
	u64 costless = free_agents(enabled);

	if (depth++ >= nr_nodes) {
		if (unlikely(depth > MAX_DEPTH))
			engine_end(RUN_BOUND);
		node->spent = spent;
		node->open = enabled;
		if (spent >= bounded_limit) {
			bounded_cut |= costless != enabled;
			node->open = costless;
		}
		node->agent = __builtin_ctzl(node->open & costless);
		node->open &= ~(1UL << node->agent);
		nr_nodes = depth;
	}
	if (!(enabled >> node->agent & 1))
		engine_end(RUN_DIVERGED);
	spent = node->spent + !(costless >> node->agent & 1);
	return node->agent;
}

static u32 bounded_pick(struct vcpu *cpu, u32 options)
{
	return picks_take(depth, options);
}

static bool bounded_end(enum run_end end)
{
	for (; !picks_next(nr_nodes); nr_nodes--) {
		struct node *node = nodes + nr_nodes - 1;

		if (!nr_nodes)
			return false;
		if (node->open) {
			node->agent = __builtin_ctzl(node->open);
			node->open &= node->open - 1;
			return true;
		}
	}
	return true;
}

const struct strategy bounded_strategy = {
	.name = "bounded",
	.patient = true,
	.begin = bounded_begin,
	.choose = bounded_choose,
	.pick = bounded_pick,
	.end = bounded_end,
};
