/* SPDX-License-Identifier: MIT */
/* A task of harnesses that takes CPUs down and brings them up, while others go on. */
#ifndef TASKS_ONOFF_H
#define TASKS_ONOFF_H

#include <shm_layout/types.h>

/* How one direction went. The task alone adds. */
struct onoff_counts {
	u64 attempts;
	u64 successes;        /* that returned 0 */
	u64 shortest_ns;      /* of the successes; 0 = none yet */
	u64 longest_ns;
	u64 total_ns;
};

/* What the task is given; Python fills interval_us and random. */
struct onoff {
	u64 interval_us;      /* between two attempts, on average */
	u64 random;           /* state of its generator, not 0 */
	struct onoff_counts down;
	struct onoff_counts up;
};

/*
 * Until the run ends: choose a CPU other than CPU 0, bring it up if it is down, else take it down.
 * In the end all are up. Runs on CPU 0. @onoff: struct onoff.
 */
s64 onoff_task(void *onoff);

#endif
