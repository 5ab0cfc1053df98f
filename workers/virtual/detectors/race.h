/* SPDX-License-Identifier: MIT */
/*
 * Data races by the kernel's memory model: two accesses of different CPUs to the
 * same bytes, one of them a write, one of them plain, and nothing orders them.
 *
 * Order comes from locks, release and acquire, full barriers, making and joining
 * threads, and interrupts sent. Called only while engine.races is set.
 */
#ifndef VIRTUAL_RACE_H
#define VIRTUAL_RACE_H

#include "engine.h"

/* Marked accesses: their order is that of the C memory model. */
enum order { ORDER_PLAIN, ORDER_RELAXED, ORDER_ACQUIRE, ORDER_RELEASE, ORDER_FULL };

void race_begin(void);        /* of a run */
/* The CPU is about to read; it may be answered by its own buffer. */
void race_load(struct vcpu *cpu, u64 addr, u32 size, enum order order, u64 pc);
/* The CPU has put @store into its buffer. */
void race_store(struct vcpu *cpu, struct store *store, enum order order);
/* Not 0: a place carries a clock in this run. */
extern u32 race_synced;
void race_carry(const struct store *store);
/* The oldest store reaches memory: from now on others can read from it. */
static inline void race_commit(struct vcpu *cpu, struct store *store)
{
	if (unlikely(store->released | race_synced))
		race_carry(store);
}

/* A locked operation, which reads and (if @writes) writes memory at once. */
void race_rmw(struct vcpu *cpu, u64 addr, u32 size, enum order order, bool writes, u64 pc);
void race_fence(struct vcpu *cpu, enum order order);
/* What @from has done is before what @to does next. */
void race_edge(struct vcpu *from, struct vcpu *to);
/* Locks and the like: what was done before the release is before what follows an acquire. */
void race_release(struct vcpu *cpu, u64 object);
void race_acquire(struct vcpu *cpu, u64 object);
/* @cpu has ended: all of its frames are left. */
void race_end(struct vcpu *cpu);
/* @cpu accesses what is in a frame of @owner: it must be done before that frame is left. */
void race_visit(struct vcpu *cpu, struct vcpu *owner, u64 addr, u32 size, u64 pc);
/* Memory is new: what was done to it before is forgotten. */
void race_forget(u64 addr, u64 size);

#endif
