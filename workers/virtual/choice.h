/* SPDX-License-Identifier: MIT */
/* What choices leave behind: how many there were, and those that were not the default. */
#ifndef VIRTUAL_CHOICE_H
#define VIRTUAL_CHOICE_H

#include "engine.h"
#include "detectors/show.h"

/* The hash of what has happened goes on with @what. */
static inline void follow_trail(u64 what)
{
	engine.trail = (engine.trail ^ what) * 0x9e3779b97f4a7c15UL;
}

static inline void count_choice(void)
{
	engine.nr_choices++;
	if (engine.nr_choices % CHECKPOINT_CHOICES == 0)
		show_checkpoint();
}

static inline void intervene(u32 cpu, u32 event, u32 agent)
{
	struct intervention *here = &made[engine.nr_made];

	if (unlikely(engine.nr_made == MAX_INTERVENTIONS))
		engine_end(RUN_BOUND);
	engine.nr_made++;
	here->cpu = cpu;
	here->event = event;
	here->agent = agent;
}

#endif
