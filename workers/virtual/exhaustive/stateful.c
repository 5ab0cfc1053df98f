// SPDX-License-Identifier: MIT
/*
 * Every state once, for programs that spin: a loop that only waits comes back to
 * a state that was seen, and that ends the run. No sleep sets: an agent that
 * sleeps where a state is first met may be awake where it is met again.
 *
 * A state from which no run can come to an end is a livelock, whatever the
 * scheduler does. Strongly connected parts of the graph of states are found on
 * the way (Tarjan, SIAM J. Comput. 1:2, 1972); one that has no way out to an end
 * is such a trap.
 *
 * What was read and written before does not belong to a state, so data races are
 * not looked for.
 */
#include "exhaustive/exhaust.h"
#include "detectors/report.h"
#include "exhaustive/picks.h"
#include "exhaustive/state.h"

#include <sys/mman.h>

#define MAX_DEPTH (1u << 20)
#define SLOTS (1u << 23)      /* a power of two */
#define MAX_STATES (SLOTS / 4 * 3)
#define NONE (~0u)

struct slot {
	u64 hash;             /* 0 = free */
	u32 order;            /* in which states were met */
	u8 closed;            /* 1 = all that can be reached from here was seen */
	u8 ends;              /* of a closed one: some run from here ends */
};

struct node {
	u64 open;             /* agents not yet taken from here */
	u32 slot;
	u32 low;              /* the first state on the way that can be reached from here */
	u8 agent;             /* taken now */
	u8 ends;              /* 1 = some run from here ends */
};

u64 stateful_states;
bool stateful_full;

static struct slot *slots;
static u32 *open_states;      /* slots of those not closed, in order */
static u32 nr_open;
static struct node nodes[MAX_DEPTH];
static u32 nr_nodes;
static u32 depth;
static u32 trap;              /* the node from which nothing ends, to be reported by this run */

static void *fresh(void *old, u64 size)
{
	void *at = mmap(old, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (old ? MAP_FIXED : 0), -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void stateful_begin(u64 run)
{
	depth = 0;
	state_begin(!run);
	picks_begin();
	if (run)
		return;
	picks_reset();
	slots = fresh(slots, SLOTS * sizeof(*slots));
	open_states = fresh(open_states, MAX_STATES * sizeof(*open_states));
	stateful_full = !slots || !open_states;
	stateful_states = 0;
	nr_nodes = nr_open = 0;
	trap = NONE;
}

static u32 slot_of(u64 hash)
{
	u32 place = hash % SLOTS;

	while (slots[place].hash && slots[place].hash != hash)
		place = (place + 1) % SLOTS;
	return place;
}

/* A state that was met before: what is known of it is known of the last node. */
static void meet_again(const struct slot *slot)
{
	struct node *last = &nodes[nr_nodes - 1];

	if (slot->closed)
		last->ends |= slot->ends;
	else if (slot->order < last->low)
		last->low = slot->order;
	engine_end(RUN_CUT);
}

/* Here is the first CPU that still goes on, the other side the next one. */
static void report_livelock(void)
{
	u64 waiting = (engine.ready | engine.blocked) & CPU_BITS;
	u64 going = engine.ready ? engine.ready : waiting;
	struct vcpu *here = &engine.vcpu[__builtin_ctzl(going)];
	u64 others = going & (going - 1);
	struct side other;

	if (others)
		virtual_side_of(&other, &engine.vcpu[__builtin_ctzl(others)]);
	engine.cpu = here;
	/* It stands in a switch, which has put its frame pointer on the stack. */
	virtual_finding(FINDING_LIVELOCK, here->pending.pc, *(u64 *)here->fiber->sp,
			others ? &other : NULL, (const u64[6]){ waiting, stateful_states });
}

static u32 new_node(u64 enabled)
{
	u64 hash = state_hash();
	u32 place = stateful_full ? 0 : slot_of(hash);
	struct node *node = &nodes[nr_nodes];

	if (!stateful_full && slots[place].hash)
		meet_again(&slots[place]);
	if (stateful_full || stateful_states == MAX_STATES) {
		stateful_full = true;
		engine_end(RUN_BOUND);
	}
	if (nr_nodes == MAX_DEPTH)
		engine_end(RUN_BOUND);
	slots[place] = (struct slot){ .hash = hash, .order = stateful_states };
	open_states[nr_open++] = place;
	node->slot = place;
	node->low = stateful_states++;
	node->ends = 0;
	node->agent = engine_default(enabled);
	node->open = enabled & ~(1UL << node->agent);
	nr_nodes++;
	return node->agent;
}

static u32 stateful_choose(u64 enabled)
{
	struct node *node = &nodes[depth];

	state_settle();
	if (depth == trap)
		report_livelock();
	if (depth++ == nr_nodes)
		return new_node(enabled);
	if (!(enabled >> node->agent & 1))
		engine_end(RUN_DIVERGED);
	return node->agent;
}

/* No state of its own: what follows from each option is a state that differs if that matters. */
static u32 stateful_pick(struct vcpu *cpu, u32 options)
{
	return picks_take(depth, options);
}

/* The last node's part of the graph is complete. */
static void close_part(const struct node *node)
{
	struct slot *slot;

	do {
		slot = &slots[open_states[--nr_open]];
		slot->closed = 1;
		slot->ends = node->ends;
	} while (slot != &slots[node->slot]);
}

static void leave_node(void)
{
	const struct node *node = &nodes[--nr_nodes];
	struct node *above;

	if (!nr_nodes)
		return;
	above = &nodes[nr_nodes - 1];
	above->ends |= node->ends;
	if (node->low < above->low)
		above->low = node->low;
}

static bool stateful_end(enum run_end end)
{
	if (nr_nodes && end != RUN_CUT)
		nodes[nr_nodes - 1].ends = 1;
	for (; !picks_next(nr_nodes); leave_node()) {
		struct node *node = nodes + nr_nodes - 1;

		if (!nr_nodes)
			return false;
		if (trap == nr_nodes - 1) {
			/* It has been reported. */
			trap = NONE;
			node->ends = 1;
			continue;
		}
		if (node->open) {
			node->agent = __builtin_ctzl(node->open);
			node->open &= node->open - 1;
			return true;
		}
		if (node->low != slots[node->slot].order)
			continue;
		close_part(node);
		if (!node->ends) {
			trap = nr_nodes - 1;
			return true;
		}
	}
	return true;
}

const struct strategy stateful_strategy = {
	.name = "stateful",
	.every_step = true,
	.patient = true,
	.outside = true,
	.begin = stateful_begin,
	.choose = stateful_choose,
	.pick = stateful_pick,
	.end = stateful_end,
};
