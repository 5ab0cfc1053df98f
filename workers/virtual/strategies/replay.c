// SPDX-License-Identifier: MIT
/*
 * A run by its schedule: the default at each choice, but for the interventions.
 *
 * An intervention is found by the CPU that would have gone on and how many
 * operations that CPU has done, so one that is taken out leaves the others where
 * they are. Those of one CPU are in order; between CPUs the order is free.
 */
#include "jobs/job.h"
#include "detectors/outcome_set.h"

#define NOBODY VIRTUAL_CPUS

static const struct intervention *schedule;
static u32 following[MAX_INTERVENTIONS]; /* the next of the same CPU + 1; 0 = none */
static u32 coming[VIRTUAL_CPUS + 1];     /* the first of each CPU that is not past + 1 */
static bool is_strict;
static u32 diverged;                     /* choice + 1 */

struct place places[MAX_PLACES];
u32 nr_places, nr_switches;

static u32 cpu_of(const struct intervention *here)
{
	return here->cpu < VIRTUAL_CPUS ? here->cpu : NOBODY;
}

void replay_start(const struct intervention *list, u32 count, bool strict)
{
	schedule = list;
	is_strict = strict;
	diverged = 0;
	nr_places = nr_switches = 0;
	for (u32 cpu = 0; cpu <= NOBODY; cpu++)
		coming[cpu] = 0;
	for (u32 n = count; n--; ) {
		following[n] = coming[cpu_of(&list[n])];
		coming[cpu_of(&list[n])] = n + 1;
	}
}

static void replay_begin(u64 run)
{
	const struct explore_job *job = &the_explore->job;

	replay_start(job->schedule, job->nr_interventions, job->flags & EXPLORE_STRICT);
}

/* The schedule says what cannot be done here. */
static void diverge(void)
{
	if (diverged)
		return;
	diverged = engine.nr_choices + 1;
	if (is_strict)
		engine_end(RUN_DIVERGED);
}

/* The next intervention of @cpu if it is for its operation @event, else the default. */
static u32 scheduled(u64 enabled, u32 usual, u32 cpu, u32 event)
{
	for (u32 place; (place = coming[cpu]); ) {
		const struct intervention *here = &schedule[place - 1];

		if (here->event > event)
			break;
		coming[cpu] = following[place - 1];
		if (here->event == event && !IS_PICK(here->agent) && enabled >> here->agent & 1)
			return here->agent;
		diverge();
	}
	return usual;
}

static u32 replay_choose(u64 enabled)
{
	u32 usual = engine_default(enabled), agent;
	u32 cpu = usual < VIRTUAL_CPUS ? usual : NOBODY;
	u32 event = cpu < NOBODY ? engine.vcpu[cpu].events : engine.nobody;

	if (nr_places < MAX_PLACES)
		places[nr_places++] = (struct place){
			.enabled = enabled,
			.event = event,
			.cpu = cpu < NOBODY ? cpu : AGENT_NOBODY,
			.usual = usual,
		};
	agent = scheduled(enabled, usual, cpu, event);
	nr_switches += agent < VIRTUAL_CPUS && agent != engine.current;
	return agent;
}

/* What is scheduled for this place stays for the choice of who goes, but for what has passed. */
static u32 replay_pick(struct vcpu *cpu, u32 options)
{
	if (nr_places < MAX_PLACES)
		places[nr_places++] = (struct place){
			.enabled = options < 64 ? (1UL << options) - 1 : ~0UL,
			.event = cpu->events,
			.cpu = cpu->id,
			.is_pick = true,
		};
	for (u32 place; (place = coming[cpu->id]); ) {
		const struct intervention *here = &schedule[place - 1];

		if (here->event > cpu->events ||
		    (here->event == cpu->events && !IS_PICK(here->agent)))
			break;
		coming[cpu->id] = following[place - 1];
		if (here->event == cpu->events && (u32)OPTION_OF(here->agent) < options)
			return OPTION_OF(here->agent);
		diverge();
	}
	return 0;
}

const struct strategy replay_strategy = {
	.name = "replay",
	.patient = true,
	.begin = replay_begin,
	.choose = replay_choose,
	.pick = replay_pick,
};

/* Repeats a run of a strategy that is not patient up to its very end. */
static const struct strategy impatient_strategy = {
	.name = "replay",
	.begin = replay_begin,
	.choose = replay_choose,
	.pick = replay_pick,
};

/* A schedule of which something is left over was not that of this run. */
static enum run_end replay_run(void)
{
	const struct strategy *before = engine.strategy;
	enum run_end end;

	engine.strategy = before->patient ? &replay_strategy : &impatient_strategy;
	end = engine_run();
	engine.strategy = before;
	for (u32 cpu = 0; cpu <= NOBODY; cpu++) {
		if (coming[cpu] && !diverged)
			diverged = engine.nr_choices + 1;
	}
	return is_strict && diverged ? RUN_DIVERGED : end;
}

enum run_end run_by_schedule(const struct intervention *list, u32 count, bool strict)
{
	the_explore->result.replays++;
	replay_start(list, count, strict);
	return replay_run();
}

void replay_job(void)
{
	const struct explore_job *job = &the_explore->job;
	struct explore_result *result = &the_explore->result;

	engine.show = !!(job->flags & EXPLORE_SHOW);
	engine.strategy = &replay_strategy;
	replay_begin(0);
	result->end = replay_run();
	result->executions = 1;
	result->ends[result->end]++;
	outcome_count(result->end);
	result->decisions = engine.nr_choices;
	result->steps = result->longest = engine.steps;
	result->bounded = result->end == RUN_BOUND;
	result->diverged = diverged;
	keep_schedule();
	if (result->end != RUN_FAILED)
		return;
	result->failing_run = 0;
	result->signature = signature_of(RUN_FAILED);
}
