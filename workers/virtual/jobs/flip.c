// SPDX-License-Identifier: MIT
/*
 * What decides: the two accesses of a failing run that, done in the other order,
 * make it pass.
 *
 * The run is repeated step by step, but one access waits until a later one that
 * conflicts with it has been made. First come loads that overtook a store in a
 * buffer, then all conflicts, then what does not even conflict: memory may be freed
 * too early without an access. Of each, those that lie closest together come first,
 * so that the passing run is as near to the failing one as can be. A store
 * conflicts where it drains; what never happened because the run had ended comes
 * last of all.
 */
#include "jobs/job.h"

#include <string.h>

#define MAX_RECORDED 4096
#define MAX_PICKED 1024       /* of one CPU; later ones are the default */
#define MAX_STEPS (2UL << 20) /* in all runs of one search: the bound of the work */
#define NOT_SHOWN (~0u)

/* One step of an agent, in the order of the run. */
struct step {
	u64 addr;
	u32 number;           /* of this agent's steps */
	u32 shown;            /* shown[] had so many events before */
	u32 store;            /* drain: place of its store in shown[] */
	u8 agent;
	u8 size;
	u8 kind;
	bool forwarded;
	bool happened;
};

static struct step steps[MAX_RECORDED];
static u32 nr_steps;

/* The options of data that each CPU took, in its order. */
static u8 options_taken[VIRTUAL_CPUS][MAX_PICKED];
static u32 nr_picked[VIRTUAL_CPUS]; /* so far in this run */
static u32 taken[AGENTS];     /* steps of each agent in this run */

static void record(u32 agent)
{
	struct pending room, *pending = agent_pending(agent, &room);

	if (nr_steps < MAX_RECORDED)
		steps[nr_steps++] = (struct step){
			.addr = pending->addr,
			.number = taken[agent],
			.shown = the_explore->result.nr_shown,
			.store = NOT_SHOWN,
			.agent = agent,
			.size = pending->size,
			.kind = pending->kind,
			.forwarded = pending->forwarded,
			.happened = true,
		};
	taken[agent]++;
}

static u32 record_choose(u64 enabled)
{
	u32 agent = enabled & (enabled - 1) ? replay_strategy.choose(enabled)
					    : (u32)__builtin_ctzl(enabled);

	record(agent);
	return agent;
}

static u32 record_pick(struct vcpu *cpu, u32 options)
{
	u32 option = replay_strategy.pick(cpu, options);

	if (nr_picked[cpu->id] < MAX_PICKED)
		options_taken[cpu->id][nr_picked[cpu->id]++] = option;
	return option;
}

static const struct strategy record_strategy = {
	.name = "record",
	.every_step = true,
	.patient = true,
	.choose = record_choose,
	.pick = record_pick,
};

/* The run has ended: what its CPUs and buffers would have done next. */
static void record_what_never_happened(void)
{
	u32 happened = nr_steps;

	for (u32 id = 0; id < engine.nr_cpus; id++) {
		struct vcpu *cpu = &engine.vcpu[id];

		if ((engine.ready | engine.blocked) >> id & 1 && nr_steps < MAX_RECORDED)
			record(id);
		for (u32 n = 0; n < cpu->count && nr_steps < MAX_RECORDED; n++) {
			struct store *store = nth_store(cpu, n);

			record(AGENT(AGENT_DRAIN, id));
			steps[nr_steps - 1].addr = store->addr;
			steps[nr_steps - 1].size = store->size;
			if (store->shown)
				steps[nr_steps - 1].store = store->shown - 1;
		}
	}
	for (u32 n = happened; n < nr_steps; n++)
		steps[n].happened = false;
}

/* Place in shown[] of the event that is @step. */
static u32 place_of(const struct step *step)
{
	const struct explore_result *result = &the_explore->result;

	if (!step->happened)
		return step->store;
	for (u32 n = step->shown; n < result->nr_shown; n++) {
		const struct shown_event *event = &result->shown[n];

		if (event->cpu == AGENT_OF_CPU(step->agent) && event->kind == step->kind &&
		    overlap(event->addr, event->size, step->addr, step->size))
			return n;
	}
	return NOT_SHOWN;
}

/* The run by @schedule; its events are shown and its steps recorded. */
static enum run_end record_run(const struct intervention *schedule, u32 count)
{
	enum run_end end;

	nr_steps = 0;
	memset(taken, 0, sizeof(taken));
	memset(nr_picked, 0, sizeof(nr_picked));
	memset(options_taken, 0, sizeof(options_taken));
	replay_start(schedule, count, false);
	engine.strategy = &record_strategy;
	engine.show = 1;
	end = engine_run();
	engine.show = 0;
	engine.strategy = &replay_strategy;
	the_explore->result.replays++;
	record_what_never_happened();
	for (u32 n = 0; n < nr_steps; n++) {
		u32 place = place_of(&steps[n]);

		if (steps[n].happened && steps[n].kind == EVENT_KIND_DRAIN && place != NOT_SHOWN)
			steps[n].store = the_explore->result.shown[place].drained;
	}
	return end;
}

static bool writes(const struct step *step)
{
	return 1u << step->kind & (1u << EVENT_KIND_STORE | 1u << EVENT_KIND_RMW |
				   1u << EVENT_KIND_ADD | 1u << EVENT_KIND_DRAIN |
				   1u << EVENT_KIND_LOCK | 1u << EVENT_KIND_UNLOCK);
}

static bool reads(const struct step *step)
{
	return (step->kind == EVENT_KIND_LOAD && !step->forwarded) ||
	       step->kind == EVENT_KIND_AWAIT;
}

static bool conflict(const struct step *a, const struct step *b)
{
	return AGENT_OF_CPU(a->agent) != AGENT_OF_CPU(b->agent) &&
	       ((writes(a) && (writes(b) || reads(b))) || (reads(a) && writes(b))) &&
	       overlap(a->addr, a->size, b->addr, b->size);
}

/* The load @a was done while the store that @b drains was waiting in its buffer. */
static bool overtakes(const struct step *a, const struct step *b)
{
	return a->kind == EVENT_KIND_LOAD && b->store != NOT_SHOWN && b->store < a->shown;
}

#define ALL_OTHERS MAX_RECORDED

/* The swap that is tried: steps[first] waits for steps[second], or until only it can go on. */
static struct {
	u32 first, second;
	u32 next;             /* steps before this one are done */
} swap;

static bool is_done(const struct step *step)
{
	return taken[step->agent] > step->number;
}

/* Who may go while steps[swap.first] waits, if it does. */
static u64 without_first(u64 enabled)
{
	const struct step *first = &steps[swap.first];
	u64 others = enabled & ~(1UL << first->agent);

	if (taken[first->agent] != first->number)
		return enabled;
	if (swap.second == ALL_OTHERS)
		return others & ~engine.spinning ? others : enabled;
	if (is_done(&steps[swap.second]))
		return enabled;
	if (!others)
		engine_end(RUN_CUT);
	return others;
}

static u32 swap_choose(u64 enabled)
{
	u32 agent = AGENTS;

	enabled = without_first(enabled);
	while (swap.next < nr_steps && is_done(&steps[swap.next]))
		swap.next++;
	for (u32 n = swap.next; n < nr_steps && agent == AGENTS; n++) {
		if (!is_done(&steps[n]) && enabled >> steps[n].agent & 1)
			agent = steps[n].agent;
	}
	if (agent == AGENTS)
		agent = engine_default(enabled);
	taken[agent]++;
	return agent;
}

/* The data is that of the failing run: it is the order that is looked for. */
static u32 swap_pick(struct vcpu *cpu, u32 options)
{
	u32 place = nr_picked[cpu->id]++, option;

	option = place < MAX_PICKED ? options_taken[cpu->id][place] : 0;
	return option < options ? option : 0;
}

static const struct strategy swap_strategy = {
	.name = "swap",
	.every_step = true,
	.patient = true,
	.choose = swap_choose,
	.pick = swap_pick,
};

static bool passes_swapped(u32 first, u32 second)
{
	enum run_end end;

	swap.first = first;
	swap.second = second;
	swap.next = 0;
	memset(taken, 0, sizeof(taken));
	memset(nr_picked, 0, sizeof(nr_picked));
	engine.strategy = &swap_strategy;
	the_explore->result.replays++;
	end = engine_run();
	engine.strategy = &replay_strategy;
	return end == RUN_PASSED;
}

/* The made[] of the last run is the nearest passing schedule. */
static void keep_passing(void)
{
	struct explore_result *result = &the_explore->result;

	if (engine.nr_made > ARRAY_SIZE(result->passing))
		return;
	result->has_passing = 1;
	result->nr_passing = engine.nr_made;
	memcpy(result->passing, made, result->nr_passing * sizeof(made[0]));
}

/* Which pairs are tried. */
enum pairs { OVERTAKING, CONFLICTING, ALL_PAIRS };

static bool is_tried(enum pairs pairs, const struct step *a, const struct step *b)
{
	if (!a->happened || AGENT_OF_CPU(a->agent) == AGENT_OF_CPU(b->agent))
		return false;
	return pairs == ALL_PAIRS || (conflict(a, b) && (pairs == CONFLICTING || overtakes(a, b)));
}

static bool within_bounds(u64 begun)
{
	return engine.total_steps - begun < MAX_STEPS && !READ_ONCE(the_explore->stop);
}

static bool find_swap(enum pairs pairs, u32 *first, u32 *second)
{
	u64 begun = engine.total_steps;

	for (u32 distance = 1; distance < nr_steps; distance++) {
		for (u32 n = nr_steps - distance; n--; ) {
			if (!is_tried(pairs, &steps[n], &steps[n + distance]))
				continue;
			if (!within_bounds(begun))
				return false;
			if (passes_swapped(n, n + distance)) {
				*first = n;
				*second = n + distance;
				return true;
			}
		}
	}
	return false;
}

/* No one pair decides: hold one step back until all others are done, the last one first. */
static bool pass_by_waiting(void)
{
	u64 begun = engine.total_steps;

	for (u32 n = nr_steps; n-- && within_bounds(begun); ) {
		if (steps[n].happened && passes_swapped(n, ALL_OTHERS))
			return true;
	}
	return false;
}

/* Or leave one intervention out. */
static bool pass_by_dropping(const struct intervention *schedule, u32 count)
{
	static struct intervention shorter[MAX_INTERVENTIONS];
	u64 begun = engine.total_steps;

	for (u32 n = count; n-- && within_bounds(begun); ) {
		memcpy(shorter, schedule, n * sizeof(schedule[0]));
		memcpy(shorter + n, schedule + n + 1, (count - n - 1) * sizeof(schedule[0]));
		if (run_by_schedule(shorter, count - 1, false) == RUN_PASSED)
			return true;
	}
	return false;
}

enum run_end explain_failure(const struct intervention *schedule, u32 count)
{
	struct explore_result *result = &the_explore->result;
	u32 first = 0, second = 0;
	bool found;
	enum run_end end;

	record_run(schedule, count);
	found = find_swap(OVERTAKING, &first, &second) ||
		find_swap(CONFLICTING, &first, &second) ||
		find_swap(ALL_PAIRS, &first, &second);
	if (found || pass_by_waiting() || pass_by_dropping(schedule, count))
		keep_passing();
	end = record_run(schedule, count);
	if (found) {
		result->flip_first = place_of(&steps[first]) + 1;
		result->flip_second = place_of(&steps[second]) + 1;
		if (!steps[second].happened)
			result->flip_waits = AGENT_OF_CPU(steps[second].agent) + 1;
	}
	return end;
}
