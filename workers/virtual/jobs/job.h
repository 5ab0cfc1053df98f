/* SPDX-License-Identifier: MIT */
/* What Python asks one explorer process for, and how it is done. */
#ifndef VIRTUAL_JOB_H
#define VIRTUAL_JOB_H

#include "detectors/report.h"
#include "strategies/strategy.h"

/* Of the finding that the run just made ended with; 0 = it did not end with one. */
static inline u64 signature_of(enum run_end end)
{
	return end == RUN_FAILED ? finding_signature(&the_explore->result.finding) : 0;
}

#define NO_RUN (~0UL)

/* Pipes from and to Python: it closes the first one when it wants this process to end. */
extern int control_fd, status_fd;

/* job.c: do the_explore->job; the result is written, but for result.state. False: no such job. */
bool do_job(void);
/* The strategy that a job names; NULL = there is none of that number. */
const struct strategy *strategy_of(u32 number);

/* One command each. The result's counters are 0 when they begin. */
void search_job(void);
void replay_job(void);
void minimize_job(void);
void exhaust_job(void);
void split_job(void);

/* search.c: one run of the engine's strategy. */
enum run_end numbered_run(u64 run);
/* The same, and it is counted in the result. */
enum run_end counted_run(u64 run);
/* The schedule and the checkpoints of the run just made are those of the result. */
void keep_schedule(void);

/*
 * replay.c: one run by @schedule. If @strict, a choice that does not apply ends it
 * as RUN_DIVERGED; otherwise it is passed over.
 */
enum run_end run_by_schedule(const struct intervention *schedule, u32 count, bool strict);

#define MAX_PLACES 8192

/* Where the last run by a schedule had a choice; the first ones, if there were too many. */
struct place {
	u64 enabled;
	u32 event;            /* as in struct intervention */
	u8 cpu;
	u8 usual;             /* agent: the default; 0 of a choice of data */
	bool is_pick;         /* bit n of @enabled is option n */
};

extern struct place places[MAX_PLACES];
extern u32 nr_places;
extern u32 nr_switches;       /* choices of another CPU than the one that ran */

/* As far as the engine's strategy is to be another one that asks replay_strategy.choose(). */
void replay_start(const struct intervention *schedule, u32 count, bool strict);

/*
 * flip.c: show the run by @schedule, which fails; find the nearest schedule that
 * passes, and the two events whose order makes the difference.
 */
enum run_end explain_failure(const struct intervention *schedule, u32 count);

/* check.c: do the run just made, which ended as @end, again by its schedule; is all the same? */
bool check_last_run(enum run_end end);

#endif
