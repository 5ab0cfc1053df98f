/* SPDX-License-Identifier: MIT */
/* Where each CPU last turned interrupts or preemption off while both were on. */
#ifndef VIRTUAL_SECTION_H
#define VIRTUAL_SECTION_H

#include "engine.h"

struct section {
	u64 began;            /* a moment; 0 = in none, or no reader: see grace_period.c */
	u64 entered;          /* the moment, whether it counts as a reader or not */
	u64 switched;         /* when this CPU last switched to another task; 0 = not in this run */
	u64 pc, caller;       /* return addresses */
	u32 task;
	u32 step;
};

extern struct section sections[VIRTUAL_CPUS];
/* Of this run: orders what no operation tells apart. */
extern u64 last_moment;

/* It does so now, in the code at @pc; @frame is one of those that were made since, or NULL. */
static inline void section_begin(const struct vcpu *cpu, u64 pc, const u64 *frame)
{
	struct section *section = &sections[cpu->id];

	for (u32 n = 0; frame && n < 3 && frame[1] != pc; n++)
		frame = (const u64 *)frame[0];
	frame = frame ? (const u64 *)frame[0] : NULL;

	section->began = section->entered = ++last_moment;
	section->pc = pc;
	section->caller = frame ? frame[1] : 0;
	section->task = cpu->fiber->index;
	section->step = engine.steps + 1;
}

/* The processor, not the code at @pc, is about to turn interrupts off. */
static inline void section_forced(const struct vcpu *cpu, u64 pc)
{
	if (!load_word(cpu->private_start, cpu->guards_size))
		section_begin(cpu, pc, NULL);
}

/* @cpu is about to switch to another task. */
static inline void section_switched(const struct vcpu *cpu)
{
	sections[cpu->id].switched = ++last_moment;
}

/* Of a run: no CPU is in a section that somebody could have to wait for. */
void sections_begin(void);
/* A task that is a reader of this domain, as far as is known who ends it; or MAX_TASKS. */
u32 grace_period_reader(u64 domain);
/* The beginning of the section that @cpu is in, as the other side of a finding; tsc 0 = none. */
struct side section_side(const struct vcpu *cpu);

#endif
