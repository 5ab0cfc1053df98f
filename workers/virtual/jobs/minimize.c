// SPDX-License-Identifier: MIT
/*
 * The smallest schedule that fails as a given one does.
 *
 * Delta debugging over interventions (Zeller and Hildebrandt, TSE 2002), replayed
 * leniently; then two bursts are replaced by one, as long as that works; then each
 * one by another that is easier to read. A burst is one agent that goes at one
 * place, several times in a row: so many stores leave a buffer. What a run really
 * used of its schedule is what is kept, so the result replays strictly.
 */
#include "jobs/job.h"

#include <string.h>

#define MAX_STEPS (8UL << 20) /* in all runs: the bound of the work */
#define MAX_EXCHANGED 12      /* bursts; longer schedules are only cut down */
#define OTHER_RUNS 2048       /* in which other failures are looked for, */
#define OTHER_FAILURES 12     /* to be minimized as well */

static struct intervention current[MAX_INTERVENTIONS], trial[MAX_INTERVENTIONS];
static u32 nr_current;
static u64 wanted;            /* signature */
static u32 wanted_kind;

/* The first that differs counts. */
struct cost {
	u32 bursts, interventions, switches, steps, agents;
};

static bool within_bounds(void)
{
	return engine.total_steps < MAX_STEPS && !READ_ONCE(the_explore->stop);
}

static bool is_wanted(void)
{
	return the_explore->result.finding.kind == wanted_kind &&
	       signature_of(RUN_FAILED) == wanted;
}

/* Does the run by @schedule fail in the way that is looked for? Then made[] is its essence. */
static bool fails(const struct intervention *schedule, u32 count)
{
	return run_by_schedule(schedule, count, false) == RUN_FAILED && is_wanted();
}

static void adopt(void)
{
	nr_current = engine.nr_made;
	memcpy(current, made, nr_current * sizeof(made[0]));
}

/* trial[] = current[] without [@from, @from + @count); its length. */
static u32 without(u32 from, u32 count)
{
	memcpy(trial, current, from * sizeof(trial[0]));
	memcpy(trial + from, current + from + count,
	       (nr_current - from - count) * sizeof(trial[0]));
	return nr_current - count;
}

static void remove_chunks(void)
{
	for (u32 chunk = nr_current; chunk; ) {
		bool removed = false;

		for (u32 from = 0; from < nr_current && within_bounds(); ) {
			u32 count = nr_current - from < chunk ? nr_current - from : chunk;

			if (fails(trial, without(from, count))) {
				adopt();
				removed = true;
			} else {
				from += count;
			}
		}
		if (!removed || chunk > 1)
			chunk /= 2;
		if (chunk > nr_current)
			chunk = nr_current;
	}
}

/*
 * Put a burst of @new behind what is there for the same or an earlier operation of its CPU;
 * a choice of data, which comes while the operation before is done, in front of who goes next.
 */
static void insert(struct intervention *schedule, u32 count, struct intervention new, u32 length)
{
	u32 at = 0;

	for (u32 n = 0; n < count; n++) {
		if (schedule[n].cpu == new.cpu &&
		    schedule[n].event + (IS_PICK(new.agent) && !IS_PICK(schedule[n].agent)) <=
		    new.event)
			at = n + 1;
	}
	memmove(schedule + at + length, schedule + at, (count - at) * sizeof(schedule[0]));
	while (length--)
		schedule[at++] = new;
}

/* Where the burst ends that begins at @from. */
static u32 burst_end(const struct intervention *schedule, u32 count, u32 from)
{
	u32 end = from + 1;

	while (end < count && !memcmp(&schedule[end], &schedule[from], sizeof(schedule[0])))
		end++;
	return end;
}

static u32 nr_bursts(const struct intervention *schedule, u32 count)
{
	u32 bursts = 0;

	for (u32 n = 0; n < count; n = burst_end(schedule, count, n))
		bursts++;
	return bursts;
}

static struct cost cost_of_last_run(void)
{
	struct cost cost = {
		.bursts = nr_bursts(made, engine.nr_made),
		.interventions = engine.nr_made,
		.switches = nr_switches,
		.steps = engine.steps,
	};

	for (u32 n = 0; n < engine.nr_made; n++)
		cost.agents += made[n].agent;
	return cost;
}

static bool is_cheaper(struct cost a, struct cost b)
{
	if (a.bursts != b.bursts)
		return a.bursts < b.bursts;
	if (a.interventions != b.interventions)
		return a.interventions < b.interventions;
	if (a.switches != b.switches)
		return a.switches < b.switches;
	if (a.steps != b.steps)
		return a.steps < b.steps;
	return a.agents < b.agents;
}

/* Does it fail with @length times @new added to the @count interventions of trial[]? */
static bool fails_with(u32 count, struct intervention new, u32 length, struct cost bound)
{
	static struct intervention longer[MAX_INTERVENTIONS + VIRTUAL_STORES];

	memcpy(longer, trial, count * sizeof(trial[0]));
	insert(longer, count, new, length);
	if (!fails(longer, count + length) || !is_cheaper(cost_of_last_run(), bound))
		return false;
	adopt();
	return true;
}

/*
 * The @count interventions of trial[] and any other burst: is there one with which
 * it fails, and more cheaply than @bound? Then that is the current schedule.
 */
static bool add_burst(u32 count, struct cost bound)
{
	static struct place around[MAX_PLACES];
	u32 nr_around;

	run_by_schedule(trial, count, false);
	nr_around = nr_places;
	memcpy(around, places, nr_places * sizeof(places[0]));
	for (u32 n = 0; n < nr_around; n++) {
		u64 others = around[n].enabled & ~(1UL << around[n].usual);

		for (; others && within_bounds(); others &= others - 1) {
			struct intervention new = {
				.event = around[n].event,
				.cpu = around[n].cpu,
				.agent = __builtin_ctzl(others),
			};

			if (around[n].is_pick)
				new.agent = PICK(new.agent);

			if (fails_with(count, new, 1, bound))
				return true;
			/* More than the buffer holds are passed over. */
			if (AGENT_KIND(new.agent) == AGENT_DRAIN &&
			    fails_with(count, new, VIRTUAL_STORES, bound))
				return true;
		}
	}
	return false;
}

static struct cost current_cost(void)
{
	fails(current, nr_current);
	return cost_of_last_run();
}

/* trial[] = current[] without the bursts that begin at @first and @second; its length. */
static u32 without_bursts(u32 first, u32 second)
{
	u32 count = 0;

	for (u32 n = 0; n < nr_current; n++) {
		if (memcmp(&current[n], &current[first], sizeof(trial[0])) &&
		    memcmp(&current[n], &current[second], sizeof(trial[0])))
			trial[count++] = current[n];
	}
	return count;
}

/* Two bursts by one. */
static bool replace_two(void)
{
	struct cost bound = { .bursts = nr_bursts(current, nr_current) };

	for (u32 n = 0; n < nr_current; n = burst_end(current, nr_current, n)) {
		u32 other = burst_end(current, nr_current, n);

		for (; other < nr_current; other = burst_end(current, nr_current, other)) {
			if (add_burst(without_bursts(n, other), bound))
				return true;
		}
	}
	return false;
}

/* One by another, so that the run is shorter or simpler. */
static bool replace_one(void)
{
	struct cost bound = current_cost();

	for (u32 n = 0; n < nr_current; n = burst_end(current, nr_current, n)) {
		if (add_burst(without_bursts(n, n), bound))
			return true;
	}
	return false;
}

/* Options of data, each as low as it can be; the default in front of another of its place, too. */
static void lower_picks(void)
{
	for (u32 n = 0; n < nr_current; n++) {
		u32 most = IS_PICK(current[n].agent) ? OPTION_OF(current[n].agent) : 0;

		for (u32 option = 0; option < most && within_bounds(); option++) {
			memcpy(trial, current, nr_current * sizeof(trial[0]));
			trial[n].agent = PICK(option);
			if (fails(trial, nr_current)) {
				adopt();
				break;
			}
		}
	}
}

static bool is_short(void)
{
	return nr_current && nr_bursts(current, nr_current) <= MAX_EXCHANGED;
}

static void minimize_current(void)
{
	remove_chunks();
	while (is_short() && within_bounds() && replace_two())
		remove_chunks();
	while (is_short() && within_bounds() && replace_one())
		remove_chunks();
	lower_picks();
}

static bool fails_by_chance(u64 run)
{
	enum run_end end;

	engine.strategy = &pct_strategy;
	end = numbered_run(run);
	engine.strategy = &replay_strategy;
	return end == RUN_FAILED && is_wanted();
}

/* Other runs that fail in the same way may have a smaller core: keep the smallest of all. */
static void minimize_others(void)
{
	static struct intervention best[MAX_INTERVENTIONS];
	struct cost cost = current_cost();
	u32 failures = 0;

	for (u64 run = 0; run < OTHER_RUNS && failures < OTHER_FAILURES && within_bounds(); run++) {
		u32 nr_best = nr_current;

		if (!fails_by_chance(run))
			continue;
		failures++;
		memcpy(best, current, nr_best * sizeof(best[0]));
		adopt();
		minimize_current();
		if (is_cheaper(current_cost(), cost)) {
			cost = current_cost();
			continue;
		}
		nr_current = nr_best;
		memcpy(current, best, nr_best * sizeof(best[0]));
	}
}

void minimize_job(void)
{
	const struct explore_job *job = &the_explore->job;
	struct explore_result *result = &the_explore->result;

	engine.strategy = &replay_strategy;
	result->end = run_by_schedule(job->schedule, job->nr_interventions, false);
	wanted_kind = result->finding.kind;
	wanted = signature_of(result->end);
	keep_schedule();
	if (result->end != RUN_FAILED || (job->signature && wanted != job->signature)) {
		result->diverged = 1;
		return;
	}
	adopt();
	minimize_current();
	if (nr_bursts(current, nr_current) > 1)
		minimize_others();
	result->end = explain_failure(current, nr_current);
	result->signature = signature_of(result->end);
	result->failing_run = result->end == RUN_FAILED ? 0 : NO_RUN;
	result->decisions = engine.nr_choices;
	result->steps = result->longest = engine.steps;
	keep_schedule();
}
