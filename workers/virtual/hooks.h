/* SPDX-License-Identifier: MIT */
/* One access of explored code: let others go first where they may notice, then note it. */
#ifndef VIRTUAL_HOOKS_H
#define VIRTUAL_HOOKS_H

#include "detectors/race.h"
#include "detectors/section.h"
#include "detectors/shadow.h"
#include "detectors/show.h"

/* What struct explored_constant says: a bit for each word of 4 bytes. */
extern u64 table_constants[TABLES_BYTES / 256];

static inline bool is_constant_of_table(u64 addr)
{
	u64 word = (addr - engine.tables) / 4;

	return word < TABLES_BYTES / 4 && table_constants[word / 64] >> word % 64 & 1;
}

/* Memory that nobody writes once tasks have begun, and a stack whose address nobody else has. */
static inline bool is_own_or_fixed(struct vcpu *cpu, u64 addr)
{
	const struct fiber *fiber = cpu->fiber;

	if (addr - fiber->stack < fiber->size)
		return !fiber->published && !(cpu->count && buffer_publishes(cpu));
	return addr < engine.rodata_end ||
	       (addr >= ARENA_BASE &&
		(addr - engine.constant[0] < engine.constant_size[0] ||
		 addr - engine.constant[1] < engine.constant_size[1]));
}

/*
 * Memory whose content is the same whenever this CPU looks. A store to what is called constant
 * of a table is a store like all others: then it was not constant, and is undone.
 */
static inline bool is_unshared(struct vcpu *cpu, u64 addr)
{
	return is_own_or_fixed(cpu, addr) || is_constant_of_table(addr);
}

/* Nobody decides by them: whose turn it is when they are counted makes no difference. */
static inline bool is_statistic(u64 addr)
{
	return addr - engine.statistics < engine.statistics_size;
}

static inline bool is_private(const struct vcpu *cpu, u64 addr)
{
	const struct fiber *fiber = cpu->fiber;

	return addr - cpu->private_start < cpu->private_size ||
	       addr - fiber->private_start < fiber->private_size ||
	       addr - fiber->own_start < fiber->own_size || is_statistic(addr);
}

/* Nobody else writes it: when this CPU reads it makes no difference. */
static inline bool is_owned(const struct vcpu *cpu, u64 addr)
{
	/* But for the interrupts that others make pending. */
	if (addr - cpu->private_start == offsetof(struct cpu, irq_pending))
		return false;
	return addr - cpu->private_start < cpu->owned_size || is_private(cpu, addr);
}

/*
 * An interrupt could be taken here: somebody looks at what this CPU alone
 * accesses. Whether one is pending makes no difference: where a CPU stops must
 * not depend on what others do. An NMI comes anywhere.
 */
static inline bool is_interruptible(const struct vcpu *cpu)
{
	return cpu->irq_off && (!*cpu->irq_off || engine.nmis >> cpu->id & 1);
}

/* Only who watches looks at it, and its own task: no interrupt does. */
static inline bool is_note(const struct vcpu *cpu, u64 addr)
{
	const struct fiber *fiber = cpu->fiber;

	return addr - fiber->notes_start < fiber->notes_size ||
	       addr - fiber->own_start < fiber->own_size || is_statistic(addr);
}

/* What this CPU's own code reads there is the same before and after an interrupt: of the CPU. */
static inline bool is_restored_of_cpu(const struct vcpu *cpu, u64 addr)
{
	u64 word = (addr - cpu->private_start) / 4;

	return word < 64 && cpu->restored >> word & 1;
}

/* Likewise, of the task. */
static inline bool is_restored(const struct vcpu *cpu, u64 addr)
{
	const struct fiber *fiber = cpu->fiber;
	u64 own = (addr - fiber->private_start) / 4;

	return (own < 64 && fiber->restored >> own & 1) || is_note(cpu, addr);
}

/* It is about to hold interrupts, or what they may do, off: the last moment for one to come. */
static inline bool is_guarding(const struct vcpu *cpu, u64 addr)
{
	return addr - cpu->private_start < cpu->guards_size &&
	       !load_word(cpu->private_start, cpu->guards_size);
}

/*
 * In an object that the running code has allocated, and whose address is nowhere but in its
 * stack and in the object itself: so nobody else can look at it yet, interrupts included.
 */
static inline bool is_fresh(struct vcpu *cpu, u64 addr)
{
	if (likely(addr - cpu->fresh_start >= cpu->fresh_size))
		return false;
	return cpu->fiber == cpu->fresh_of && !cpu->fiber->published &&
	       !(cpu->count && buffer_publishes(cpu)) && cpu->fresh_size;
}

/* It is written at once: nobody sees the difference. Others may come to read it. */
static inline void store_fresh(struct vcpu *cpu, u64 addr, u32 size, enum order order, u64 pc)
{
	struct store store = { .addr = addr, .size = size, .pc = pc };

	undo_push(addr, size, load_word(addr, size));
	if (likely(!engine.races))
		return;
	race_store(cpu, &store, order);
	race_commit(cpu, &store);
}

/* What may be stored there is not looked at, and may be an address in the fresh object. */
static inline void forget_fresh(struct vcpu *cpu)
{
	cpu->fresh_size = 0;
}

/* Most accesses are to memory that is unshared: what follows is for the others. */
static noinline __attribute__((unused)) void
load_shared(struct vcpu *cpu, u64 addr, u32 size, enum order order, u64 pc)
{
	if (is_owned(cpu, addr)) {
		if (!is_restored(cpu, addr) && is_interruptible(cpu))
			engine_point(EVENT_KIND_POINT, 0, 0, pc);
		return;
	}
	if (is_fresh(cpu, addr)) {
		if (engine.races)
			race_load(cpu, addr, size, order, pc);
		return;
	}
	shadow_check(addr, size, false, pc);
	cpu->pending.forwarded = cpu->count && is_forwarded(cpu, addr, size);
	engine_point(EVENT_KIND_LOAD, addr, size, pc);
	/* It may have been freed while others ran. */
	shadow_check(addr, size, false, pc);
	if (unlikely(engine.show))
		show_access(cpu, EVENT_KIND_LOAD, addr, size, load_word(addr, size), order, pc);
	if (engine.races)
		race_load(cpu, addr, size, order, pc);
}

static inline void hook_load(u64 addr, u32 size, enum order order, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	if (likely(cpu) && !is_restored_of_cpu(cpu, addr) && !is_unshared(cpu, addr))
		load_shared(cpu, addr, size, order, pc);
}

static noinline __attribute__((unused)) void
store_shared(struct vcpu *cpu, u64 addr, u32 size, enum order order, u64 pc)
{
	if (is_fresh(cpu, addr)) {
		store_fresh(cpu, addr, size, order, pc);
		return;
	}
	/* Without buffers, others can come in before a store that they can see, anyway. */
	if ((engine.limit || is_private(cpu, addr)) && !is_note(cpu, addr) &&
	    (is_interruptible(cpu) || is_guarding(cpu, addr)))
		engine_point(EVENT_KIND_POINT, 0, 0, pc);
	if (is_private(cpu, addr)) {
		if (is_guarding(cpu, addr))
			section_begin(cpu, pc, __builtin_frame_address(0));
		if (size == 8 && !is_note(cpu, addr))
			forget_fresh(cpu);
		undo_push(addr, size, load_word(addr, size));
		return;
	}
	shadow_check(addr, size, true, pc);
	if (addr - engine.text_start < engine.text_size)
		forget_fresh(cpu);
	if (unlikely(!engine.limit))
		engine_point(EVENT_KIND_STORE, addr, size, pc);
	else if (unlikely(cpu->count >= engine.limit))
		engine_point(EVENT_KIND_FULL, addr, size, pc);
	buffer_push(cpu, addr, size, pc);
	if (unlikely(engine.show))
		show_store(cpu, nth_store(cpu, cpu->count - 1), order);
	if (engine.races)
		race_store(cpu, nth_store(cpu, cpu->count - 1), order);
	cpu->idle_reads = 0;
}

static inline void hook_store(u64 addr, u32 size, enum order order, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	if (likely(cpu) && !is_own_or_fixed(cpu, addr))
		store_shared(cpu, addr, size, order, pc);
}

/* Accesses wider than a register happen in pieces. */
static inline void hook_load_range(u64 addr, u64 size, enum order order, u64 pc)
{
	for (; size > 8; size -= 8, addr += 8)
		hook_load(addr, 8, order, pc);
	if (size)
		hook_load(addr, size, order, pc);
}

/* The caller writes it all at once afterwards, so there must be room for all pieces before. */
static inline void make_room(u64 addr, u64 size, u64 pc)
{
	struct vcpu *cpu = engine.cpu;
	u64 pieces = (size + 7) / 8;

	if (!cpu || is_own_or_fixed(cpu, addr) || is_fresh(cpu, addr) || pieces > engine.limit ||
	    size > 255)
		return;
	if (cpu->count + pieces > engine.limit)
		engine_point(EVENT_KIND_FULL, addr, size, pc);
}

static inline void hook_store_range(u64 addr, u64 size, enum order order, u64 pc)
{
	make_room(addr, size, pc);
	for (; size > 8; size -= 8, addr += 8)
		hook_store(addr, 8, order, pc);
	if (size)
		hook_store(addr, size, order, pc);
}

static inline void empty_buffer(struct vcpu *cpu, u64 pc)
{
	if (cpu->count)
		engine_point(EVENT_KIND_FENCE, 0, 0, pc);
	else if (engine.strategy->passed)
		engine.strategy->passed(cpu->id, EVENT_KIND_FENCE, 0);
}

/* A locked operation is about to be made by the caller, with an empty buffer. */
static inline void hook_locked(u32 kind, u64 addr, u32 size, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	if (unlikely(!cpu))
		return;
	if (unlikely(is_statistic(addr))) {
		empty_buffer(cpu, pc);
		undo_push(addr, size, load_word(addr, size));
		return;
	}
	shadow_check(addr, size, true, pc);
	engine_point(kind, addr, size, pc);
	shadow_check(addr, size, true, pc);
	undo_push(addr, size, load_word(addr, size));
	if (unlikely(engine.show))
		show_before(load_word(addr, size));
}

static inline void hook_rmw(u64 addr, u32 size, u64 pc)
{
	hook_locked(EVENT_KIND_RMW, addr, size, pc);
}

static inline void hook_rmw_done(u64 addr, u32 size, enum order order, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	if (unlikely(!cpu || is_statistic(addr)))
		return;
	if (unlikely(engine.show))
		show_access(cpu, EVENT_KIND_RMW, addr, size, load_word(addr, size), order, pc);
	if (engine.races)
		race_rmw(cpu, addr, size, order, true, pc);
	committed(cpu, addr, size, load_word(addr, size));
}

/* A comparison failed: nothing was written, though the operation was a locked one. */
static inline void hook_rmw_failed(u64 addr, u32 size, enum order order, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	if (unlikely(!cpu))
		return;
	engine.nr_undo--;
	if (is_statistic(addr))
		return;
	if (unlikely(engine.show))
		show_access(cpu, EVENT_KIND_RMW, addr, size, load_word(addr, size), order, pc);
	if (engine.races)
		race_rmw(cpu, addr, size, order, false, pc);
}

static inline void hook_fence(enum order order, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	if (unlikely(!cpu))
		return;
	if (order == ORDER_FULL)
		empty_buffer(cpu, pc);
	if (engine.races)
		race_fence(cpu, order);
	if (unlikely(engine.show))
		show_access(cpu, EVENT_KIND_FENCE, 0, 0, 0, order, pc);
}

#endif
