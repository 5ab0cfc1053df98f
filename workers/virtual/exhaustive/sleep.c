// SPDX-License-Identifier: MIT
/*
 * Every schedule once, up to the order of operations that do not matter to each
 * other: depth-first search with sleep sets (Godefroid, LNCS 1032, 1996).
 *
 * An agent sleeps at a node when its next operation was done first from here or
 * from above, and nothing since has touched what it touches: what would follow
 * has been seen. One complete run per class of equal ones.
 */
#include "exhaustive/depend.h"
#include "exhaustive/exhaust.h"
#include "exhaustive/picks.h"

#define MAX_DEPTH 65536

struct node {
	u64 enabled;
	u64 sleep;            /* asleep here, and those done from here */
	u8 agent;             /* taken now */
};

static struct node nodes[MAX_DEPTH];
static u32 nr_nodes;          /* on the way that the next run repeats */
static u32 nr_fixed;          /* of those: given, with what sleeps there */
static u32 depth;             /* of this run */
static u64 sleeping;          /* at the node that comes next */

static void sleep_begin(u64 run)
{
	depth = 0;
	sleeping = 0;
	picks_begin();
	if (run)
		return;
	picks_reset();
	nr_nodes = 0;
	for (u32 n = 0; n < exhaust_root.count; n++) {
		u32 agent = exhaust_root.agent[n];

		if (IS_PICK(agent))
			picks_fix(nr_nodes, OPTION_OF(agent));
		else
			nodes[nr_nodes++] = (struct node){ .sleep = exhaust_root.sleep[n],
							   .agent = agent };
	}
	nr_fixed = nr_nodes;
}

/* A node on the way: only what comes after its last one is new. */
static inline u32 repeat(struct node *node, u64 enabled)
{
	if (unlikely(!(enabled >> node->agent & 1) ||
		     (depth > nr_fixed && node->enabled != enabled)))
		engine_end(RUN_DIVERGED);
	if (depth == nr_nodes)
		sleeping = independent_of(node->sleep, node->agent);
	return node->agent;
}

static u32 sleep_choose(u64 enabled)
{
	struct node *node = &nodes[depth];
	u64 open = enabled & ~sleeping;

	if (depth++ < nr_nodes)
		return repeat(node, enabled);
	if (unlikely(depth > MAX_DEPTH))
		engine_end(RUN_BOUND);
	if (unlikely(exhaust_split))
		split_here(enabled, sleeping);
	if (!open)
		engine_end(RUN_CUT);
	node->enabled = enabled;
	node->agent = engine_default(open);
	node->sleep = sleeping;
	nr_nodes = depth;
	sleeping = independent_of(sleeping, node->agent);
	return node->agent;
}

static u32 sleep_pick(struct vcpu *cpu, u32 options)
{
	if (unlikely(exhaust_split) && picks_is_new())
		split_at_pick(options, sleeping);
	return picks_take(depth, options);
}

static bool sleep_end(enum run_end end)
{
	for (; !picks_next(nr_nodes); nr_nodes--) {
		struct node *node = nodes + nr_nodes - 1;
		u64 open;

		if (nr_nodes == nr_fixed)
			return false;
		node->sleep |= 1UL << node->agent;
		open = node->enabled & ~node->sleep;
		if (open) {
			node->agent = __builtin_ctzl(open);
			return true;
		}
	}
	return true;
}

const struct strategy sleep_strategy = {
	.name = "sleep",
	.every_step = true,
	.patient = true,
	.begin = sleep_begin,
	.choose = sleep_choose,
	.pick = sleep_pick,
	.end = sleep_end,
};
