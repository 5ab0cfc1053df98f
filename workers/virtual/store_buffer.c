// SPDX-License-Identifier: MIT
/*
 * x86-TSO: each CPU's stores wait in a buffer, first in first out, and its own
 * loads see them. A load that meets part of a buffered store combines it with
 * memory, as AMD's manual (volume 2, 7.2) says it may.
 */
#include "engine.h"
#include "detectors/race.h"
#include "detectors/report.h"
#include "detectors/show.h"

struct undo undo_log[MAX_UNDO];

/*
 * Whoever reads the address may come to see what is stored in the stack before
 * it was stored: those stores must go through the buffer, too.
 */
bool buffer_publishes(struct vcpu *cpu)
{
	for (u32 n = 0; n < cpu->count; n++) {
		const struct store *store = &cpu->buffer[(cpu->head + n) % VIRTUAL_STORES];
		u64 value, place;

		if (store->size != 8)
			continue;
		value = load_word(store->addr, 8);
		place = value - engine.stacks;
		if (unlikely(value - cpu->fresh_start < cpu->fresh_size))
			cpu->fresh_size = 0;
		if (unlikely(place < engine.stacks_size))
			fibers[place / engine.stack_stride].published = 1;
	}
	return cpu->fiber->published;
}

void undo_all(void)
{
	for (u32 n = engine.nr_undo; n--; )
		store_word(undo_log[n].addr, undo_log[n].size, undo_log[n].old);
	engine.nr_undo = 0;
}

/*
 * The lowest byte of @fiber's stack that its code still uses: above the frames
 * of the hook that it is in, which lie on the same stack.
 */
u64 stack_bound(struct fiber *fiber)
{
	struct vcpu *cpu = &engine.vcpu[fiber->cpu];
	u64 pc = cpu->fiber == fiber ? cpu->pending.pc : fiber->pc;
	u64 *frame = __builtin_frame_address(0);

	/* It stands still: whoever asks is another CPU, or the engine on a stack of its own. */
	if ((u64)frame - fiber->stack >= fiber->size)
		frame = (u64 *)*(u64 *)fiber->sp;
	while ((u64)frame - fiber->stack < fiber->size) {
		if (frame[1] == pc)
			return (u64)(frame + 2);
		frame = (u64 *)frame[0];
	}
	return fiber->stack;
}

/*
 * A store on its way to a stack whose frame is gone must not touch what lies
 * there now. To a stack of its own CPU it is of no use to anybody any more;
 * to another CPU's it is a write to memory that was given up.
 */
static bool is_void(struct vcpu *cpu, struct store *store)
{
	u64 place = store->addr - engine.stacks;
	struct store given_up;
	struct fiber *fiber;

	if (likely(place >= engine.stacks_size))
		return false;
	fiber = &fibers[place / engine.stack_stride];
	if (!store->size)
		return true;
	if (store->addr >= stack_bound(fiber))
		return false;
	/* Before the report: that ends the run, and the end of a run takes back stores, too. */
	given_up = *store;
	store->size = 0;
	if (fiber->cpu != cpu->id)
		report_dead_stack(cpu, &given_up, fiber);
	return true;
}

void view_take_back_stores(void)
{
	struct vcpu *cpu = &engine.vcpu[engine.view];

	for (u32 n = cpu->count; n--; ) {
		struct store *store = nth_store(cpu, n);

		if (is_void(cpu, store))
			continue;
		store->value = load_word(store->addr, store->size);
		store_word(store->addr, store->size, store->old);
	}
}

void view_show_stores(struct vcpu *cpu)
{
	for (u32 n = 0; n < cpu->count; n++) {
		struct store *store = nth_store(cpu, n);

		if (is_void(cpu, store))
			continue;
		store->old = load_word(store->addr, store->size);
		store_word(store->addr, store->size, store->value);
	}
}

void committed(struct vcpu *cpu, u64 addr, u32 size, u64 value)
{
	u64 place = value - engine.stacks;

	if (unlikely(addr - engine.text_start < engine.text_size))
		engine.wrote_text(addr, size, value);
	engine.commits++;
	cpu->commits++;
	engine.spinning = 0;
	engine.recheck |= engine.watching;
	/* An address in an object, or in a stack, that others can read from now on. */
	if (unlikely(value - cpu->fresh_start < cpu->fresh_size) && size == 8)
		cpu->fresh_size = 0;
	if (unlikely(place < engine.stacks_size) && size == 8)
		fibers[place / engine.stack_stride].published = 1;
}

/* A later store of its CPU writes the same bytes: memory does not show what the oldest wrote. */
static inline bool oldest_is_covered(struct vcpu *cpu, const struct store *oldest)
{
	for (u32 n = 1; n < cpu->count; n++) {
		const struct store *store = nth_store(cpu, n);

		if (overlap(store->addr, store->size, oldest->addr, oldest->size))
			return true;
	}
	return false;
}

void buffer_commit(struct vcpu *cpu)
{
	struct store *store = oldest_store(cpu);
	u64 old, value;

	if (engine.view != cpu->id || oldest_is_covered(cpu, store))
		view_take_back();
	if (is_void(cpu, store))
		store->old = 0;
	if (engine.view == cpu->id) {
		old = store->old;
		value = load_word(store->addr, store->size);
	} else {
		old = load_word(store->addr, store->size);
		value = store->value;
		store_word(store->addr, store->size, value);
	}
	undo_push(store->addr, store->size, old);
	if (engine.races)
		race_commit(cpu, store);
	if (unlikely(engine.show))
		show_drain(cpu, store, old, value);
	cpu->head++;
	if (!--cpu->count)
		engine.drains &= ~AGENT_BIT(AGENT_DRAIN, cpu->id);
	/* It may wait for an empty buffer, or for room. */
	if (!cpu->count || cpu->pending.kind == EVENT_KIND_FULL)
		engine.recheck |= 1UL << cpu->id;
	if (cpu->pending.forwarded)
		cpu->pending.forwarded = is_forwarded(cpu, cpu->pending.addr, cpu->pending.size);
	committed(cpu, store->addr, store->size, value);
}
