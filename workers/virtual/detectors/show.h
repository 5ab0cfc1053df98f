/* SPDX-License-Identifier: MIT */
/* The events of a run that is shown, for a report; called only while engine.show is set. */
#ifndef VIRTUAL_SHOW_H
#define VIRTUAL_SHOW_H

#include "detectors/race.h"

/* An operation of @cpu itself. Never NULL; when there is no room it is written nowhere. */
struct shown_event *show_event(struct vcpu *cpu, u32 kind, u64 addr, u32 size, u64 value, u64 pc);
void show_access(struct vcpu *cpu, u32 kind, u64 addr, u32 size, u64 value, enum order order,
		 u64 pc);
/* A store enters the buffer. Its value is filled in by show_drain(). */
void show_store(struct vcpu *cpu, struct store *store, enum order order);
/* A store reaches memory. */
void show_drain(struct vcpu *cpu, struct store *store, u64 old, u64 value);
/* A locked operation is about to write: what was there before. */
void show_before(u64 old);
/* Before the first event of a run. */
void show_begin(void);
/* The run is over, and no CPU has the view: values of stores that are still buffered. */
void show_end(void);
/* The next event of @agent comes of a choice; @intervention: not of the default. */
void show_choice(u32 agent, bool intervention);
/* @cpu makes a choice of data. */
void show_pick(struct vcpu *cpu, u32 option, u32 options);
/* Another CHECKPOINT_CHOICES choices are made: keep engine.trail (also when not shown). */
void show_checkpoint(void);
/* The newest event of @cpu at @pc that touches @addr; NULL = there is none. */
const struct shown_event *show_find(u32 cpu, u64 pc, u64 addr);

#endif
