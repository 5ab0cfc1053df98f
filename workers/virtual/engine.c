// SPDX-License-Identifier: MIT
/* One run: who goes next, until all have ended or something is wrong. */
#include "choice.h"
#include "fiber.h"
#include "interrupts.h"
#include "detectors/outcome_set.h"
#include "detectors/race.h"
#include "detectors/show.h"
#include "programs/thread_local.h"

struct engine engine;
struct fiber fibers[MAX_FIBERS];
struct cpu *machine_this_cpu;
struct intervention made[MAX_INTERVENTIONS];

/* Asks a strategy that wants every CPU to stand still meanwhile. */
static u8 director_stack[64 << 10] __attribute__((aligned(64)));
static struct fiber director = {
	.stack = (u64)director_stack, .size = sizeof(director_stack),
};

/* Loads without anything else, after which a CPU is taken to spin. */
#define SPIN_READS 48

u64 engine_value(struct vcpu *cpu, u64 addr, u32 size)
{
	if (engine.view != cpu->id)
		view_show(cpu);
	return load_word(addr, size);
}

#define KIND(kind) (1u << EVENT_KIND_##kind)

bool engine_is_enabled(struct vcpu *cpu)
{
	struct pending *pending = &cpu->pending;
	u32 kind = pending->kind, bit = 1u << kind;

	/* Tests of masks, since a jump by kind could not be predicted. */
	if (bit & (KIND(RMW) | KIND(ADD) | KIND(FENCE) | KIND(EXIT) | KIND(UNLOCK) |
		   KIND(SYNC)))
		return !cpu->count;
	if (kind == EVENT_KIND_JOIN)
		return engine.exited >> pending->value & 1;
	if (likely(bit & (KIND(LOAD) | KIND(STORE) | KIND(POINT) | KIND(FETCH))))
		return true;
	if (kind == EVENT_KIND_AWAIT)
		return ends_wait(engine_value(cpu, pending->addr, pending->size), pending->value,
				 pending->bits);
	if (kind == EVENT_KIND_RELAX)
		return engine.commits - cpu->commits != cpu->relax_seen;
	if (kind == EVENT_KIND_LOCK)
		return !cpu->count && !engine_value(cpu, pending->addr, 4);
	if (kind == EVENT_KIND_FULL)
		return cpu->count + (pending->size + 7) / 8 <= engine.limit;
	if (kind == EVENT_KIND_IDLE)
		return engine.irqs >> cpu->id & 1;
	return kind != EVENT_KIND_NONE;
}

/* Nothing of what others do depends on when these are done, so there is no choice. */
static inline bool is_eager(u32 kind)
{
	return 1u << kind & (KIND(FENCE) | KIND(JOIN) | KIND(EXIT) | KIND(FULL));
}

/* What can be done now may be impossible after a step of somebody else. */
static inline bool is_fickle(u32 kind)
{
	return kind == EVENT_KIND_LOCK || kind == EVENT_KIND_AWAIT;
}

/* Look again at CPUs that wait. Returns one that is to go on without a choice, or NO_CPU. */
static u32 recheck_blocked(u64 cpus)
{
	engine.recheck = 0;
	for (u64 left = cpus; left; left &= left - 1) {
		u32 id = __builtin_ctzl(left);
		struct vcpu *cpu = &engine.vcpu[id];

		if (!engine_is_enabled(cpu)) {
			engine.ready &= ~(1UL << id);
			continue;
		}
		if (is_eager(cpu->pending.kind)) {
			engine.recheck = left & (left - 1);
			return id;
		}
		engine.ready |= 1UL << id;
		if (!is_fickle(cpu->pending.kind))
			engine.blocked &= ~(1UL << id);
	}
	return NO_CPU;
}

u32 engine_default(u64 enabled)
{
	u64 cpus = enabled & CPU_BITS & ~engine.spinning, after;

	if (unlikely(!cpus))
		cpus = enabled & CPU_BITS;
	if (likely(cpus)) {
		if (cpus >> engine.current & 1)
			return engine.current;
		after = cpus >> engine.current << engine.current;
		return __builtin_ctzl(after ? after : cpus);
	}
	/* Stores leave one buffer after the other; interrupts come only if that helps nobody. */
	after = enabled & ~0UL << AGENT(AGENT_DRAIN, engine.drained);
	if (after & CPU_BITS << AGENT(AGENT_DRAIN, 0))
		return __builtin_ctzl(after);
	return __builtin_ctzl(enabled);
}

/* Ask the strategy, and write down what is not the default. */
static u32 choose(u64 enabled)
{
	u32 usual = engine_default(enabled), agent;

	agent = engine.strategy->choose(enabled);
	if (!(enabled & (enabled - 1)))
		return agent;
	count_choice();
	if (unlikely(engine.show))
		show_choice(agent, agent != usual);
	if (agent != usual) {
		if (usual < VIRTUAL_CPUS) {
			intervene(usual, engine.vcpu[usual].events, agent);
			engine.vcpu[usual].picks = 0;
		} else {
			intervene(AGENT_NOBODY, engine.nobody, agent);
		}
	}
	if (usual >= VIRTUAL_CPUS)
		engine.nobody++;
	return agent;
}

/* Nobody can go. What the program does about it is done on a CPU's own stack. */
static void look_what_is_left(void)
{
	enum run_end end;

	if (program->stuck(&end))
		engine_end(end);
	engine.recheck = engine.blocked;
}

/* Give the processor to @cpu; returns when @from has it again. */
static inline void enter_cpu(struct fiber *from, struct vcpu *cpu)
{
	engine.cpu = cpu;
	machine_this_cpu = &the_machine->cpu[cpu->id];
	cpu->fiber->touched = 1;
	if (unlikely(engine.locals))
		locals_enter(cpu->fiber);
	fiber_switch(from, cpu->fiber);
}

/* The director has the one that was the last to run look. */
static void enter_stuck(void)
{
	engine.detour |= DETOUR_STUCK;
	enter_cpu(&director, engine.cpu);
}

/* The director has the processor until @self is to go on. */
static void stand_still(struct vcpu *self)
{
	fiber_switch(self->fiber, &director);
	while (unlikely(engine.detour & DETOUR_STUCK)) {
		engine.detour &= ~DETOUR_STUCK;
		look_what_is_left();
		fiber_switch(self->fiber, &director);
	}
}

/* The next agent; whatever it is, it can go. */
static inline u32 next_agent(void)
{
	u64 enabled, again;
	u32 eager;

	/* An idle CPU waits for an interrupt. */
	again = (engine.recheck | engine.irqs) & engine.blocked;
	if (again && (eager = recheck_blocked(again)) != NO_CPU)
		return eager;
	enabled = engine.ready | engine.drains;
	if (unlikely(engine.irqs | engine.ticking))
		enabled |= interrupt_agents();
	if (unlikely(!enabled)) {
		if (engine.detour & DETOUR_OUTSIDE)
			enter_stuck();
		else
			look_what_is_left();
		return next_agent();
	}
	if (unlikely(engine.booting))
		return engine_default(enabled);
	if (!(enabled & (enabled - 1)) && !engine.strategy->every_step)
		return __builtin_ctzl(enabled);
	return choose(enabled);
}

/* One step of an agent that is not a CPU. True = another CPU has run meanwhile. */
static bool other_agent(struct vcpu *self, u32 agent)
{
	struct vcpu *cpu = &engine.vcpu[AGENT_OF_CPU(agent)];

	follow_trail(agent);
	switch (AGENT_KIND(agent)) {
	case AGENT_DRAIN:
		engine.drained = cpu->id;
		buffer_commit(cpu);
		return false;
	case AGENT_TICK:
		if (!interrupt_comes(cpu))
			return false;
		break;
	default:
		cpu->deliver = DELIVER_IRQ;
	}
	if (cpu == self)
		return false;
	enter_cpu(self->fiber, cpu);
	return true;
}

static inline void file_cpu(struct vcpu *self)
{
	u64 bit = 1UL << self->id;
	u32 kind = self->pending.kind;
	bool enabled = kind == EVENT_KIND_LOAD || engine_is_enabled(self);

	if (likely(enabled && !is_eager(kind) && !is_fickle(kind))) {
		engine.ready |= bit;
		engine.blocked &= ~bit;
		return;
	}
	/* What may change, or needs no choice, is for recheck_blocked() to say. */
	engine.ready &= ~bit;
	engine.blocked |= bit;
	if (enabled)
		engine.recheck |= bit;
	if (1u << kind & (KIND(LOCK) | KIND(AWAIT) | KIND(RELAX)))
		engine.watching |= bit;
}

/* A CPU that only reads may be waiting for somebody, in a loop of its own. */
static inline void note_progress(struct vcpu *self, u32 kind)
{
	if (kind != EVENT_KIND_LOAD)
		self->idle_reads = 0;
	else if (unlikely(++self->idle_reads > SPIN_READS))
		engine.spinning |= 1UL << self->id;
}

/* Now the operation is done. */
static inline void begin_operation(struct vcpu *self)
{
	struct pending *pending = &self->pending;

	engine.ready &= ~(1UL << self->id);
	engine.blocked &= ~(1UL << self->id);
	engine.watching &= ~(1UL << self->id);
	if (unlikely(++engine.steps > engine.max_steps))
		engine_end(RUN_BOUND);
	engine.current = self->id;
	if (is_eager(pending->kind)) {
		if (engine.strategy->passed)
			engine.strategy->passed(self->id, pending->kind, pending->value);
	} else {
		self->events++;
		follow_trail(pending->pc ^ pending->addr << 16 ^ self->id);
		note_progress(self, pending->kind);
	}
	if (engine.view != self->id)
		view_show(self);
}

/* A new fiber has come to its first operation: back to who made it. */
static void back_to_starter(struct vcpu *self)
{
	struct vcpu *starter = &engine.vcpu[engine.starter->cpu];

	engine.starter = NULL;
	engine.detour &= ~DETOUR_STARTER;
	view_show(starter);
	enter_cpu(self->fiber, starter);
}

/* One step of a strategy that is asked outside: who goes next stands still, too. */
static void direct_step(void)
{
	u32 agent = next_agent();
	struct vcpu *next = &engine.vcpu[AGENT_OF_CPU(agent)];

	if (agent >= VIRTUAL_CPUS) {
		other_agent(next, agent);
		if (!next->deliver)
			return;
	}
	enter_cpu(&director, next);
}

static void direct(void)
{
	for (;;)
		direct_step();
}

/* A new fiber's first operation, or any while the director decides. True = it can be done now. */
static bool take_detour(struct vcpu *self)
{
	if (engine.detour & DETOUR_STARTER) {
		back_to_starter(self);
		if (!self->deliver)
			return true;
	}
	if (!(engine.detour & DETOUR_OUTSIDE))
		return false;
	do {
		if (self->deliver) {
			take_interrupt(self);
			file_cpu(self);
		}
		stand_still(self);
	} while (self->deliver);
	return true;
}

void engine_step(struct vcpu *self)
{
	while (unlikely(!engine.limit && self->count))
		buffer_commit(self);
	file_cpu(self);
	if (unlikely(engine.detour) && take_detour(self))
		goto go;
	for (;;) {
		u32 agent;

		if (unlikely(self->deliver)) {
			take_interrupt(self);
			file_cpu(self);
		}
		agent = next_agent();
		if (agent == self->id)
			break;
		if (agent < VIRTUAL_CPUS)
			enter_cpu(self->fiber, &engine.vcpu[agent]);
		else if (!other_agent(self, agent))
			continue;
		if (!self->deliver)
			break;
	}
go:
	begin_operation(self);
}

/*
 * What calls that have returned have left below the stack pointer is of no use to
 * anybody, and would make one state look like several: in frames to come it is
 * what their variables hold before they are set.
 */
#define CLEARED 4096          /* bytes: more than calls go deep between two operations */

noinline void engine_step_aside(struct vcpu *self)
{
	u64 count = CLEARED / 8, at;

	__asm__ volatile(
		"leaq -%c3(%%rsp), %%rdi\n\t"
		"rep stosq"
		: "+c"(count), "=D"(at) : "a"(0), "i"(CLEARED) : "memory", "cc");
	engine_step(self);
}

void engine_leave(struct vcpu *self)
{
	engine.ready &= ~(1UL << self->id);
	engine.blocked &= ~(1UL << self->id);
	engine.recheck = engine.blocked;
	if (unlikely(engine.detour & DETOUR_OUTSIDE))
		stand_still(self);
	for (;;) {
		u32 agent = next_agent();

		if (agent < VIRTUAL_CPUS)
			enter_cpu(self->fiber, &engine.vcpu[agent]);
		else
			other_agent(self, agent);
	}
}

void engine_start_cpu(struct vcpu *child)
{
	struct vcpu *self = engine.cpu;

	if (engine.strategy->created)
		engine.strategy->created(self->id, child->id);
	engine.starter = self->fiber;
	engine.detour |= DETOUR_STARTER;
	view_show(child);
	enter_cpu(self->fiber, child);
}

void engine_switch_fiber(struct vcpu *cpu, struct fiber *next, u64 pc)
{
	struct fiber *prev = cpu->fiber;

	prev->pc = pc;
	cpu->fiber = next;
	next->touched = 1;
	fiber_switch(prev, next);
}

void engine_end(enum run_end end)
{
	struct fiber *from = engine.cpu->fiber;

	engine.end = end;
	fiber_switch(from, &engine.home);
	__builtin_unreachable();
}

void vcpu_reset(struct vcpu *cpu)
{
	cpu->head = cpu->count = 0;
	cpu->events = cpu->stores = cpu->commits = 0;
	cpu->relax_seen = cpu->idle_reads = 0;
	cpu->fresh_size = 0;
	cpu->deliver = cpu->irq_depth = cpu->picks = 0;
	cpu->pending.kind = EVENT_KIND_NONE;
	cpu->pending.bits = 0;
}

static void reset(void)
{
	engine.view = NO_CPU;
	engine.current = 0;
	engine.ready = engine.blocked = engine.drains = 0;
	engine.recheck = engine.watching = 0;
	engine.irqs = engine.ticking = engine.nmis = engine.exited = engine.spinning = 0;
	engine.commits = engine.steps = engine.nobody = 0;
	engine.nr_choices = engine.nr_made = engine.drained = 0;
	engine.trail = 0;
	engine.starter = NULL;
	engine.detour = engine.strategy->outside ? DETOUR_OUTSIDE : 0;
	engine.assumed = 0;
	if (unlikely(engine.detour))
		fiber_reset(&director, direct);
	the_explore->result.nr_checkpoints = 0;
	outcome_begin();
}

enum run_end engine_run(void)
{
	struct vcpu *first;

	reset();
	program->begin();
	if (engine.races)
		race_begin();
	if (unlikely(engine.show))
		show_begin();
	first = &engine.vcpu[engine.current];
	/* What it stores before it first comes to a point is taken back like any store. */
	view_show(first);
	enter_cpu(&engine.home, first);
	if (unlikely(engine.locals))
		locals_enter(NULL);
	view_take_back();
	if (unlikely(engine.show))
		show_end();
	engine.cpu = NULL;
	undo_all();
	engine.total_steps += engine.steps;
	engine.decisions += engine.nr_choices;
	return engine.end;
}
