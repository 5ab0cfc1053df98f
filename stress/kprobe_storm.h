/* SPDX-License-Identifier: MIT */
/* The tables of kprobe_storm: Python fills them before the tasks start. */
#ifndef STRESS_KPROBE_STORM_H
#define STRESS_KPROBE_STORM_H

#include <shm_layout/judge.h>
#include <tasks/random.h>

#define STORM_ARGUMENTS 8

/* A function under test, and how it is called. */
struct storm_function {
	struct judge_function judged; /* owner = index of the arming task that patches it */
	struct judged_call call[STORM_ARGUMENTS];
};

/* Counters of one task; it alone adds. */
struct storm_counts {
	u64 calls;            /* of functions under test */
	u64 armed_calls;      /* with at least one probe surely armed */
	u64 irq_calls;        /* made in interrupts, counted in calls as well */
	u64 registers;        /* that returned 0 */
	u64 unregisters;
	u64 enables;          /* that returned 0 */
	u64 disables;
	u64 batches;          /* of several probes at once */
	u64 patches;          /* instructions replaced */
	u64 audits;
	u64 refused;          /* calls that an injected fault made fail */
} __cacheline_aligned;

struct storm {
	u32 nr_functions;
	u32 nr_slots;
	u32 arming_tasks;
	u32 irq_per_mille;    /* calls made in an interrupt of another CPU */
	u32 weight_enable;    /* arming: relative frequencies */
	u32 weight_batch;
	u32 weight_replace;
	u32 weight_audit;
	u32 weight_register;
	u32 pause_us;         /* between two arming operations, at most */
	u32 nr_sites;         /* the first of the functions, those that are patch sites */
	u32 sites_per_mille;  /* calls made to these */
	struct storm_function *functions;
	struct judge_slot *slots; /* owner = index of the arming task */
	struct storm_counts *counts; /* by task argument: callers first, then arming tasks */
};

/* What one task is given. */
struct storm_task {
	struct storm *storm;
	struct storm_counts *counts;
	u64 random;           /* state of its generator, not 0 */
	u32 number;           /* of its kind */
	u32 pad;
};

#endif
