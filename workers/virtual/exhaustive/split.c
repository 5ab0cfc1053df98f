// SPDX-License-Identifier: MIT
/*
 * SPLIT: cut the tree of all schedules into parts that can be searched apart.
 *
 * The parts are nodes of the tree that sleep sets span, each with what sleeps on
 * the way to it, so together they are that tree: no run is lost, and none is
 * done twice. They stand in the order of the search.
 */
#include "exhaustive/exhaust.h"
#include "jobs/job.h"

#include <string.h>

bool exhaust_split;

/* The node below the root. */
static u64 node_enabled, node_sleeping;
static u32 node_options;      /* of a choice of data; 0 = it is none */
static bool has_node;

/* Parts that make up the tree; done[n] = 1: that one cannot be cut any more. */
#define parts (the_explore->result.prefixes)
static u8 done[MAX_PREFIXES];
static u32 nr_parts;

void split_here(u64 enabled, u64 sleeping)
{
	node_enabled = enabled;
	node_sleeping = sleeping;
	node_options = 0;
	has_node = true;
	engine_end(RUN_CUT);
}

void split_at_pick(u32 options, u64 sleeping)
{
	node_sleeping = sleeping;
	node_options = options;
	has_node = true;
	engine_end(RUN_CUT);
}

static u32 nr_children(void)
{
	return node_options ? node_options : __builtin_popcountl(node_enabled & ~node_sleeping);
}

/* One run to the end of @part. False: the program ends there, or all sleep. */
static bool look_at(const struct prefix *part)
{
	exhaust_root = (struct exhaust_root){ part->agent, part->sleep, part->count };
	has_node = false;
	engine.strategy->begin(0);
	engine_run();
	return has_node && nr_children();
}

/* Part @place gives way to its children; there is room for them. */
static void put_children(u32 place, u64 first)
{
	u64 open = node_enabled & ~node_sleeping;
	u32 count = nr_children();
	struct prefix parent = parts[place];

	memmove(&parts[place + count], &parts[place + 1],
		(nr_parts - place - 1) * sizeof(parts[0]));
	memmove(&done[place + count], &done[place + 1], nr_parts - place - 1);
	nr_parts += count - 1;
	for (u32 n = 0; n < count; n++) {
		u64 agent = n ? open & -open : first;
		struct prefix *child = &parts[place + n];

		*child = parent;
		child->agent[child->count] = node_options ? PICK(n) : (u32)__builtin_ctzl(agent);
		child->sleep[child->count] = node_sleeping;
		child->count++;
		done[place + n] = child->count == PREFIX_CHOICES;
		if (node_options)
			continue;
		node_sleeping |= agent;
		open &= ~agent;
	}
}

/* Each part that can be cut, until there are @wanted. False: there was none. */
static bool cut_all_once(u32 wanted)
{
	bool any = false;

	for (u32 place = 0; place < nr_parts && nr_parts < wanted; ) {
		u32 before = nr_parts;

		if (done[place] || !look_at(&parts[place])) {
			done[place++] = 1;
			continue;
		}
		if (nr_parts + nr_children() > MAX_PREFIXES)
			return false;
		put_children(place, node_options ? 0 : 1UL << engine_default(node_enabled &
									     ~node_sleeping));
		place += nr_parts - before + 1;
		any = true;
	}
	return any;
}

void split_job(void)
{
	const struct explore_job *job = &the_explore->job;
	struct explore_result *result = &the_explore->result;
	u32 wanted = job->runs < MAX_PREFIXES ? job->runs : MAX_PREFIXES;

	memset(&parts[0], 0, sizeof(parts[0]));
	done[0] = 0;
	nr_parts = 1;
	engine.strategy = &sleep_strategy;
	exhaust_split = true;
	while (nr_parts < wanted && cut_all_once(wanted))
		;
	exhaust_split = false;
	result->nr_prefixes = nr_parts;
}
