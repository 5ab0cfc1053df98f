// SPDX-License-Identifier: MIT
#include "exhaustive/depend.h"

/*
 * Those that are done without a choice have none: their order is not explored.
 *
 * A free also matters to stores that go into buffers: they are checked when they
 * do, and belong to the step before.
 */
const u16 effect_of_kind[EVENT_KINDS] = {
	[EVENT_KIND_LOAD] = EFFECT_READ,
	[EVENT_KIND_AWAIT] = EFFECT_READ,
	[EVENT_KIND_STORE] = EFFECT_WRITE,
	[EVENT_KIND_DRAIN] = EFFECT_WRITE,
	[EVENT_KIND_RMW] = EFFECT_READ | EFFECT_WRITE,
	[EVENT_KIND_ADD] = EFFECT_READ | EFFECT_WRITE | EFFECT_ADD,
	[EVENT_KIND_LOCK] = EFFECT_READ | EFFECT_WRITE,
	[EVENT_KIND_UNLOCK] = EFFECT_READ | EFFECT_WRITE,
	[EVENT_KIND_RELAX] = EFFECT_WATCH,
	[EVENT_KIND_IRQ] = EFFECT_INTERRUPT,
	[EVENT_KIND_TICK] = EFFECT_INTERRUPT,
	[EVENT_KIND_SWITCH] = EFFECT_ANYTHING,
	[EVENT_KIND_CREATE] = EFFECT_ANYTHING,
	[EVENT_KIND_ALLOC] = EFFECT_ANYTHING,
	[EVENT_KIND_FREE] = EFFECT_ANYTHING,
	[EVENT_KIND_SIGNAL] = EFFECT_ANYTHING,
	[EVENT_KIND_FETCH] = EFFECT_READ,
	[EVENT_KIND_SYNC] = EFFECT_SYNC,
};

u64 held_bytes(const struct operation *load)
{
	struct vcpu *cpu = &engine.vcpu[load->cpu];
	u64 held = 0;

	if (unlikely(is_fetch(load)))
		return 0;
	for (u32 n = 0; n < cpu->count; n++) {
		const struct store *store = nth_store(cpu, n);

		if (store->number >= load->stores)
			break;
		if (overlap(load->addr, load->size, store->addr, store->size))
			held |= shared_bytes(load->addr, load->size, store->addr, store->size);
	}
	return held;
}

/*
 * An interrupt comes between what a CPU does, and what another CPU finds in its
 * stack follows from where it is: that matters to all that the CPU does, and not
 * to its drain, which is no doing of it unless it lets it go on.
 */
static bool disturbs(const struct operation *step, u32 cpu, const struct operation *other)
{
	if (other->effect & EFFECT_DISTURB && other->target == cpu)
		return true;
	return other->cpu == cpu && other->agent != step->agent &&
	       (AGENT_KIND(other->agent) != AGENT_DRAIN || other->effect & EFFECT_RELEASE);
}

/* It ends that CPU's rest, and lets it take an interrupt. */
static bool notifies(const struct operation *step, const struct operation *other)
{
	return step->effect & EFFECT_NOTIFY && other->cpu == step->target &&
	       (other->kind == EVENT_KIND_IDLE || other->effect & EFFECT_INTERRUPT);
}

/* Whatever is written later, the CPU may fetch as it was. */
static bool syncs_with(const struct operation *sync, const struct operation *write)
{
	return sync->effect & EFFECT_SYNC && write->effect & EFFECT_WRITE &&
	       sync->cpu != write->cpu && write->addr - engine.text_start < engine.text_size;
}

bool others_depend(const struct operation *a, const struct operation *b)
{
	u32 effects = a->effect | b->effect;

	if (effects & EFFECT_ANYTHING)
		return true;
	if (a->effect & EFFECT_INTERRUPT && disturbs(a, a->cpu, b))
		return true;
	if (b->effect & EFFECT_INTERRUPT && disturbs(b, b->cpu, a))
		return true;
	if (a->effect & EFFECT_DISTURB && disturbs(a, a->target, b))
		return true;
	if (b->effect & EFFECT_DISTURB && disturbs(b, b->target, a))
		return true;
	if (notifies(a, b) || notifies(b, a))
		return true;
	if (syncs_with(a, b) || syncs_with(b, a))
		return true;
	/* Whether somebody has written: what the CPU itself writes does not count. */
	return effects & EFFECT_WATCH && a->cpu != b->cpu &&
	       effects & (EFFECT_WRITE | EFFECT_INTERRUPT);
}

bool agents_depend(u32 a, u32 b)
{
	struct operation first = operation_of(a), second = operation_of(b);

	return a == b || operations_depend(&first, &second);
}
