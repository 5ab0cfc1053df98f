// SPDX-License-Identifier: MIT
/* Locks, threads, and other things that are acquired and released as a whole. */
#include "detectors/race_clock.h"

#define NR_OBJECTS 4096

struct object {
	u64 addr;             /* 0 = not in use */
	u32 run;              /* that the clock is of */
	struct clock clock;
};

static struct object objects[NR_OBJECTS];
static u32 nr_objects;

void forget_objects(void)
{
	for (u32 n = 0; n < NR_OBJECTS; n++)
		objects[n].addr = 0;
	nr_objects = 0;
}

bool too_many_objects(void)
{
	return nr_objects > NR_OBJECTS / 2;
}

static struct object *find_object(u64 addr)
{
	static const struct clock nothing;
	u32 place = (addr >> 3 ^ addr >> 15) % NR_OBJECTS;

	while (objects[place].addr && objects[place].addr != addr)
		place = (place + 1) % NR_OBJECTS;
	if (!objects[place].addr) {
		if (++nr_objects > NR_OBJECTS - NR_OBJECTS / 8)
			engine_end(RUN_BOUND);
		objects[place].addr = addr;
		objects[place].run = race_run - 1;
	}
	if (objects[place].run != race_run) {
		objects[place].run = race_run;
		copy_clock(&objects[place].clock, &nothing);
	}
	return &objects[place];
}

void race_release(struct vcpu *cpu, u64 addr)
{
	join(&find_object(addr)->clock, &clocks[cpu->id]);
	++*own_time(cpu);
}

void race_acquire(struct vcpu *cpu, u64 addr)
{
	join(&clocks[cpu->id], &find_object(addr)->clock);
}
