/* SPDX-License-Identifier: MIT */
/*
 * Which operations matter to each other under x86-TSO. Two that do not can
 * change places, whoever else does what: exhaustive strategies leave out one of
 * the two orders, so whatever is missing here is a bug that is never found.
 *
 * What a CPU does between two of its operations is part of the step before: it
 * may put stores into its buffer and pass fences, which nobody else notices.
 *
 * A fetch of an instruction is a load that no buffer answers, not even that of
 * its own CPU.
 */
#ifndef VIRTUAL_DEPEND_H
#define VIRTUAL_DEPEND_H

#include "strategies/strategy.h"

/* What an operation does to others. */
#define EFFECT_READ 0x1       /* depends on the value of its bytes */
#define EFFECT_WRITE 0x2      /* changes its bytes in memory, for all */
#define EFFECT_WATCH 0x4      /* depends on whether anybody wrote anything */
#define EFFECT_DISTURB 0x8    /* matters to all that CPU @target does */
#define EFFECT_INTERRUPT 0x10 /* comes between any two operations of its CPU */
#define EFFECT_ANYTHING 0x20  /* who knows */
#define EFFECT_RELEASE 0x40   /* a drain that its CPU waits for, to go on without a choice */
#define EFFECT_SYNC 0x80      /* depends on what has been written of text */
#define EFFECT_NOTIFY 0x100   /* makes an interrupt of CPU @target pending */

#define EFFECT_ADD 0x200      /* adds to its bytes: with another one that does, in any order */

/* One step of an agent, as it would be now or as it was. */
struct operation {
	u64 addr;
	u64 value;            /* an AWAIT's: see struct pending */
	u32 bits;             /* likewise */
	u32 size;             /* bytes; 0 = no memory */
	u32 stores;           /* a CPU's: stores it had made before */
	u16 effect;           /* EFFECT_* */
	u8 agent, cpu;
	u8 kind;              /* enum event_kind */
	u8 forwarded;         /* a load that its own buffer answers */
	u8 target;
};

extern const u16 effect_of_kind[EVENT_KINDS];

/* A locked operation on what is pending at CPU @target interrupts it. */
static inline bool is_notification(const struct pending *pending, u8 *target)
{
	u64 place = pending->addr - (u64)&the_machine->cpu[0].irq_pending;

	*target = place / sizeof(struct cpu);
	return pending->kind == EVENT_KIND_RMW && place % sizeof(struct cpu) == 0 &&
	       place / sizeof(struct cpu) < VIRTUAL_CPUS;
}

/*
 * Whether what is accessed in another CPU's stack is still there follows from
 * where that CPU is. Who looks for races is told of it in either order.
 */
static inline void disturb_stack(struct operation *step)
{
	u64 place = step->addr - engine.stacks;
	u32 owner;

	if (likely(place >= engine.stacks_size) || engine.races)
		return;
	owner = fibers[place / engine.stack_stride].cpu;
	if (owner == step->cpu || step->effect & EFFECT_NOTIFY)
		return;
	step->effect |= EFFECT_DISTURB;
	step->target = owner;
}

/* As soon as its buffer has room, or is empty, it goes on, past places to interrupt it. */
static inline bool waits_for_drain(const struct vcpu *cpu)
{
	return cpu->pending.kind == EVENT_KIND_FULL || cpu->pending.kind == EVENT_KIND_FENCE;
}

static inline struct operation operation_of(u32 agent)
{
	const struct vcpu *cpu = &engine.vcpu[AGENT_OF_CPU(agent)];
	const struct pending *pending = &cpu->pending;
	const struct store *store = &cpu->buffer[cpu->head % VIRTUAL_STORES];
	struct operation step;

	if (AGENT_KIND(agent) == AGENT_DRAIN) {
		step = (struct operation){
			.addr = store->addr, .size = store->size, .agent = agent, .cpu = cpu->id,
			.kind = EVENT_KIND_DRAIN, .effect = EFFECT_WRITE,
		};
		if (unlikely(engine.interrupts.take) && waits_for_drain(cpu))
			step.effect |= EFFECT_RELEASE;
		disturb_stack(&step);
		return step;
	}
	if (AGENT_KIND(agent) != AGENT_CPU)
		return (struct operation){
			.agent = agent, .cpu = cpu->id, .effect = EFFECT_INTERRUPT,
			.kind = AGENT_KIND(agent) == AGENT_IRQ ? EVENT_KIND_IRQ : EVENT_KIND_TICK,
		};
	step = (struct operation){
		.addr = pending->addr, .size = pending->size, .stores = cpu->stores,
		.agent = agent, .cpu = cpu->id, .kind = pending->kind,
		.effect = effect_of_kind[pending->kind],
		.forwarded = pending->forwarded && pending->kind == EVENT_KIND_LOAD,
		.value = pending->value, .bits = pending->bits,
	};
	if (unlikely(engine.interrupts.take) && is_notification(pending, &step.target))
		step.effect |= EFFECT_NOTIFY;
	disturb_stack(&step);
	return step;
}

/* Bit n = byte n of [addr, addr + size) lies in [other, other + other_size). At most 64 bytes. */
static inline u64 shared_bytes(u64 addr, u32 size, u64 other, u32 other_size)
{
	u64 bytes = size < 64 ? (1UL << size) - 1 : ~0UL;
	u64 end = other + other_size;

	if (other > addr)
		bytes &= ~0UL << (other - addr < 63 ? other - addr : 63);
	if (end < addr + size)
		bytes &= end > addr ? (1UL << (end - addr)) - 1 : 0;
	return bytes;
}

static inline bool is_drain(const struct operation *step)
{
	return AGENT_KIND(step->agent) == AGENT_DRAIN;
}

static inline bool is_fetch(const struct operation *step)
{
	return step->kind == EVENT_KIND_FETCH;
}

/* Of one CPU: a fetch, and a drain of what it is about. */
static inline bool is_own_text(const struct operation *a, const struct operation *b)
{
	return (is_fetch(a) || is_fetch(b)) && (a->effect | b->effect) & EFFECT_WRITE &&
	       overlap(a->addr, a->size, b->addr, b->size);
}

/* Bytes of a load that stores made before it hold, which are still in its CPU's buffer. */
u64 held_bytes(const struct operation *load);

/* Does @load, whose CPU's buffer is as it is now, notice that @write writes? They overlap. */
static inline bool load_notices(const struct operation *load, const struct operation *write)
{
	u64 bytes;

	if (!engine.vcpu[load->cpu].count || is_fetch(load))
		return true;
	bytes = shared_bytes(load->addr, load->size, write->addr, write->size);
	return bytes & ~held_bytes(load);
}

/* Both write the same bytes: does it matter who is first? */
static inline bool writes_depend(const struct operation *a, const struct operation *b)
{
	return !(a->effect & b->effect & EFFECT_ADD) || a->addr != b->addr || a->size != b->size;
}

/* Do they by more than the memory that they access? */
bool others_depend(const struct operation *a, const struct operation *b);

/*
 * Steps of two agents. A CPU and its own drain do not matter to each other: a
 * load that its buffer answers reads the same when the store has left it. What it
 * fetches is another matter.
 */
static inline bool operations_depend(const struct operation *a, const struct operation *b)
{
	u32 effects = a->effect | b->effect;

	if (unlikely(effects & ~(EFFECT_READ | EFFECT_WRITE)) && others_depend(a, b))
		return true;
	if (unlikely(a->cpu == b->cpu))
		return is_own_text(a, b);
	if (!(effects & EFFECT_WRITE) ||
	    !overlap(a->addr, a->size, b->addr, b->size) || a->forwarded || b->forwarded)
		return false;
	if (!(a->effect & EFFECT_WRITE))
		return load_notices(a, b);
	if (!(b->effect & EFFECT_WRITE))
		return load_notices(b, a);
	return writes_depend(a, b);
}

/* Of @agents, all possible now, those to whom the step of @agent does not matter. */
static inline u64 independent_of(u64 agents, u32 agent)
{
	struct operation step;
	u64 rest = 0;

	if (!agents)
		return 0;
	step = operation_of(agent);
	for (u64 left = agents; left; left &= left - 1) {
		u32 other = __builtin_ctzl(left);
		struct operation its = operation_of(other);

		if (other != agent && !operations_depend(&its, &step))
			rest |= 1UL << other;
	}
	return rest;
}

#endif
