// SPDX-License-Identifier: MIT
/* machine.h on the engine: per-CPU counters, time, and which bytes may be accessed. */
#include "programs/kernel.h"

#include "hooks.h"
#include "detectors/lock_order.h"
#include "text/text.h"

#include <kernel/slab.h>

#define PC ((u64)__builtin_return_address(0))
#define CYCLES_PER_STEP 16
#define MAX_FRESH 4096        /* bytes of an object; what is larger holds others */

/*
 * One instruction that is not locked: nobody comes between its load and its
 * store, not even an interrupt, and the store waits in the buffer.
 */
static u64 add_unlocked(u64 *p, u64 v, u64 pc)
{
	struct vcpu *cpu = engine.cpu;
	u64 addr = (u64)p, old;

	if (!cpu || is_own_or_fixed(cpu, addr)) {
		old = *p;
		*p = old + v;
		return old;
	}
	if (addr - cpu->fresh_start < cpu->fresh_size)
		forget_fresh(cpu);
	do {
		if (engine.limit && cpu->count >= engine.limit)
			engine_point(EVENT_KIND_FULL, addr, sizeof(*p), pc);
		hook_load(addr, sizeof(*p), ORDER_RELAXED, pc);
		/* An interrupt that was taken meanwhile may have filled it. */
	} while (engine.limit && cpu->count >= engine.limit);
	old = *p;
	if (is_private(cpu, addr)) {
		undo_push(addr, sizeof(*p), old);
	} else {
		buffer_push(cpu, addr, sizeof(*p), pc);
		if (engine.races)
			race_store(cpu, nth_store(cpu, cpu->count - 1), ORDER_RELAXED);
		if (unlikely(engine.show))
			show_store(cpu, nth_store(cpu, cpu->count - 1), ORDER_RELAXED);
	}
	*p = old + v;
	return old;
}

void this_cpu_add(u64 *p, u64 v)
{
	add_unlocked(p, v, PC);
}

u64 this_cpu_fetch_add(u64 *p, u64 v)
{
	return add_unlocked(p, v, PC);
}

/* Who waits for time to pass must see it pass. */
u64 machine_cycles(void)
{
	return (u64)engine.steps * CYCLES_PER_STEP + ++kernel.clock;
}

/* A state that was met before is to be known again, whenever that was. */
u64 machine_stamp(void)
{
	return engine.strategy->outside ? 1 : machine_cycles();
}

u64 machine_now(void)
{
	return machine_cycles();
}

/* It serializes: what is in the buffer is out before the next instruction. */
void sync_core(void)
{
	hook_fence(ORDER_FULL, PC);
	text_sync(engine.cpu, PC);
}

/* What the slab knows of @addr; it looks at its own memory without anybody noticing. */
static bool describe(u64 addr, struct shadow_object *object)
{
	struct vcpu *cpu = engine.cpu;
	const struct slab_object *found;

	engine.cpu = NULL;
	found = slab_find(addr);
	engine.cpu = cpu;
	if (!found || found->state == SLAB_UNUSED)
		return false;
	object->addr = found->payload;
	object->size = found->size;
	object->allocated = found->allocated;
	object->freed = found->freed;
	if (found->state == SLAB_LIVE)
		object->freed.tsc = 0;
	return true;
}

int kernel_memory_init(void)
{
	const struct region *heap = &the_machine->region[REGION_HEAP];

	shadow_describe = describe;
	return shadow_init(ARENA_BASE + heap->offset, heap->size, 0);
}

void machine_memory_reserved(u64 start, u64 size)
{
	shadow_forbid(start, size, SHADOW_REDZONE);
}

/* From now on the code that runs has an object for itself, until its address goes elsewhere. */
static void begin_fresh(struct vcpu *cpu, u64 start, u64 size)
{
	cpu->fresh_size = 0;
	if (engine.booting || size > MAX_FRESH)
		return;
	for (u32 n = 0; n < cpu->count; n++) {
		const struct store *store = nth_store(cpu, n);

		if (overlap(store->addr, store->size, start, size))
			return;
	}
	cpu->fresh_start = start;
	cpu->fresh_size = size;
	cpu->fresh_of = cpu->fiber;
}

void machine_memory_allocated(u64 start, u64 size)
{
	shadow_allow(start, size);
	if (engine.cpu)
		begin_fresh(engine.cpu, start, size);
	lock_order_forget(start, size);
	leaks_allocated(start, size);
	if (engine.races)
		race_forget(start, size);
	if (unlikely(engine.show))
		show_event(engine.cpu, EVENT_KIND_ALLOC, start, size < 255 ? size : 255, size,
			   PC);
}

void machine_memory_freed(u64 start, u64 size)
{
	struct vcpu *cpu = engine.cpu;
	u32 shown = size < 255 ? size : 255;

	if (cpu && cpu->fresh_start - start < size)
		forget_fresh(cpu);
	/* Others may access it until here, and not from here on. */
	if (cpu)
		engine_point(EVENT_KIND_FREE, start, shown, PC);
	shadow_forbid(start, size, SHADOW_FREED);
	leaks_freed(start);
	if (unlikely(engine.show))
		show_event(cpu, EVENT_KIND_FREE, start, shown, size, PC);
}
