/* SPDX-License-Identifier: MIT */
/* Vector clocks, shared by the files of the race detector. */
#ifndef VIRTUAL_RACE_CLOCK_H
#define VIRTUAL_RACE_CLOCK_H

#include "detectors/race.h"

struct clock {
	u32 at[VIRTUAL_CPUS];
} __attribute__((aligned(64)));

extern struct clock clocks[VIRTUAL_CPUS];
/* Of which run something is: what is of another counts as nothing. */
extern u32 race_run;

/* CPUs that there were at most in any run: entries beyond are 0 everywhere. */
extern u32 race_width;

static inline void join(struct clock *clock, const struct clock *other)
{
	for (u32 n = 0; n < race_width; n++)
		clock->at[n] = clock->at[n] > other->at[n] ? clock->at[n] : other->at[n];
}

static inline void copy_clock(struct clock *to, const struct clock *from)
{
	u32 n = 0;

	do
		to->at[n] = from->at[n];
	while (++n < race_width);
}

static inline u32 *own_time(struct vcpu *cpu)
{
	return &clocks[cpu->id].at[cpu->id];
}

/* What CPUs had done when they released something. */
extern struct clock snapshots[];

/* race_dependency.c: how many pointers each CPU has got in this run. */
extern u32 nr_dependencies[VIRTUAL_CPUS];
/* The CPU got @value from where snapshot @from - 1 was published. */
void depend_on(struct vcpu *cpu, u64 value, u32 from);
/* It has found @value at @addr, which may be where such a pointer leads. */
void follow(struct vcpu *cpu, u64 addr, u64 value);
/* It accesses @addr by a pointer that was published after CPU @other was at @clock. */
bool is_by_dependency(struct vcpu *cpu, u64 addr, u32 other, u32 clock);

/* race_stack.c: CPUs whose frames others have accessed in this run. */
extern u32 race_visited;
/* @cpu goes on at @pc: frames below are left, so all visits must be over by now. */
void check_visits(struct vcpu *cpu, u64 pc);
/* race_object.c: nothing is known of any object. */
void forget_objects(void);
bool too_many_objects(void);

#endif
