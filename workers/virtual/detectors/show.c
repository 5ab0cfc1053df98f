// SPDX-License-Identifier: MIT
/* What happens in one run, event by event, for the reader of a report. */
#include "detectors/show.h"
#include "detectors/report.h"

static struct shown_event nowhere;    /* when there is no room any more */

static struct {
	u32 agent;            /* of the last choice */
	u32 flags;            /* SHOWN_*; 0 = no choice since the last event */
} chosen;

void show_begin(void)
{
	the_explore->result.nr_shown = 0;
	chosen.flags = 0;
}

void show_choice(u32 agent, bool intervention)
{
	chosen.agent = agent;
	chosen.flags = SHOWN_CHOICE | (intervention ? SHOWN_INTERVENTION : 0);
}

void show_checkpoint(void)
{
	u32 place = engine.nr_choices / CHECKPOINT_CHOICES;

	if (place > MAX_CHECKPOINTS)
		return;
	the_explore->result.checkpoint[place - 1] = engine.trail;
	the_explore->result.nr_checkpoints = place;
}

static u32 agent_of(u32 kind, u32 cpu)
{
	switch (kind) {
	case EVENT_KIND_DRAIN:
		return AGENT(AGENT_DRAIN, cpu);
	case EVENT_KIND_IRQ:
		return AGENT(AGENT_IRQ, cpu);
	case EVENT_KIND_TICK:
	case EVENT_KIND_NMI:
		return AGENT(AGENT_TICK, cpu);
	}
	return AGENT(AGENT_CPU, cpu);
}

/* Operations that the CPU had done before this one: the engine has counted it already. */
static u32 place_of(const struct vcpu *cpu, u32 kind)
{
	switch (kind) {
	case EVENT_KIND_LOAD:
	case EVENT_KIND_RMW:
	case EVENT_KIND_LOCK:
	case EVENT_KIND_UNLOCK:
	case EVENT_KIND_AWAIT:
	case EVENT_KIND_RELAX:
		return cpu->events ? cpu->events - 1 : 0;
	case EVENT_KIND_STORE:
		return cpu->events && !engine.limit ? cpu->events - 1 : cpu->events;
	}
	return cpu->events;
}

static struct shown_event *new_event(struct vcpu *cpu, u32 kind, u64 pc)
{
	struct explore_result *result = &the_explore->result;
	struct shown_event *event = &nowhere;
	u32 agent = agent_of(kind, cpu->id);

	if (result->nr_shown < MAX_SHOWN_EVENTS)
		event = &result->shown[result->nr_shown++];
	*event = (struct shown_event){
		.agent = agent,
		.kind = kind,
		.cpu = cpu->id,
		.flags = cpu->irq_depth ? SHOWN_IN_IRQ : 0,
		.buffered = cpu->count,
		.task = cpu->fiber->index,
		.event = place_of(cpu, kind),
		.pc = pc,
	};
	if (chosen.agent == agent)
		event->flags |= chosen.flags;
	chosen.flags = 0;
	return event;
}

/* An operation that the code of the running fiber makes. */
static noinline struct shown_event *own_event(struct vcpu *cpu, u32 kind, u64 pc)
{
	struct shown_event *event = new_event(cpu, kind, pc);
	u64 stack[4];
	u32 count;

	if (cpu != engine.cpu || agent_of(kind, cpu->id) >= VIRTUAL_CPUS)
		return event;
	count = report_walk(stack, ARRAY_SIZE(stack), pc, (u64)__builtin_frame_address(0));
	event->pc = stack[0];
	for (u32 n = 1; n < count; n++)
		event->caller[n - 1] = stack[n];
	return event;
}

struct shown_event *show_event(struct vcpu *cpu, u32 kind, u64 addr, u32 size, u64 value, u64 pc)
{
	struct shown_event *event = own_event(cpu, kind, pc);

	event->addr = addr;
	event->size = size;
	event->value = value;
	return event;
}

void show_pick(struct vcpu *cpu, u32 option, u32 options)
{
	struct shown_event *event = show_event(cpu, EVENT_KIND_PICK, 0, 0, option, cpu->pending.pc);

	event->old = options;
	event->flags |= SHOWN_CHOICE | (option ? SHOWN_INTERVENTION : 0);
}

static u32 order_flags(enum order order, u32 kind)
{
	switch (order) {
	case ORDER_PLAIN:
		return SHOWN_PLAIN;
	case ORDER_ACQUIRE:
		return SHOWN_ACQUIRE;
	case ORDER_RELEASE:
		return SHOWN_RELEASE;
	case ORDER_FULL:
		return kind == EVENT_KIND_LOAD ? SHOWN_ACQUIRE : SHOWN_ACQUIRE | SHOWN_RELEASE;
	case ORDER_RELAXED:
		break;
	}
	return 0;
}

static u64 before;            /* what a locked operation found */

void show_before(u64 old)
{
	before = old;
}

void show_access(struct vcpu *cpu, u32 kind, u64 addr, u32 size, u64 value, enum order order,
		 u64 pc)
{
	struct shown_event *event = show_event(cpu, kind, addr, size, value, pc);

	event->flags |= order_flags(order, kind);
	if (kind == EVENT_KIND_LOAD && cpu->count && is_forwarded(cpu, addr, size))
		event->flags |= SHOWN_FORWARDED;
	event->old = kind == EVENT_KIND_RMW ? before : value;
}

void show_store(struct vcpu *cpu, struct store *store, enum order order)
{
	struct shown_event *event = show_event(cpu, EVENT_KIND_STORE, store->addr, store->size, 0,
					       store->pc);

	event->flags |= order_flags(order, EVENT_KIND_STORE) | SHOWN_UNDONE;
	event->old = store->old;
	store->shown = event == &nowhere ? 0 : event - the_explore->result.shown + 1;
}

/* The value of a store is known: memory had it when its CPU went on. */
static void fill_in(const struct store *store, u64 value)
{
	struct shown_event *event = &the_explore->result.shown[store->shown - 1];

	if (!store->shown)
		return;
	event->value = value;
	event->flags &= ~SHOWN_UNDONE;
}

void show_drain(struct vcpu *cpu, struct store *store, u64 old, u64 value)
{
	struct shown_event *event = new_event(cpu, EVENT_KIND_DRAIN, store->pc);

	event->addr = store->addr;
	event->size = store->size;
	event->value = value;
	event->old = old;
	event->buffered = cpu->count - 1;
	event->event = store->number;
	if (!store->shown)
		return;
	event->drained = store->shown - 1;
	for (u32 n = 0; n < ARRAY_SIZE(event->caller); n++)
		event->caller[n] = the_explore->result.shown[store->shown - 1].caller[n];
	fill_in(store, value);
}

/* The newest store of the CPU that met a finding was announced, but perhaps not made. */
static bool is_made(const struct vcpu *cpu, u32 n)
{
	return n + 1 < cpu->count || cpu != engine.cpu ||
	       the_explore->result.finding.here.stack[0] != nth_store((struct vcpu *)cpu, n)->pc;
}

void show_end(void)
{
	for (u32 id = 0; id < engine.nr_cpus; id++) {
		struct vcpu *cpu = &engine.vcpu[id];

		for (u32 n = 0; n < cpu->count; n++) {
			if (is_made(cpu, n))
				fill_in(nth_store(cpu, n), nth_store(cpu, n)->value);
		}
	}
}

const struct shown_event *show_find(u32 cpu, u64 pc, u64 addr)
{
	const struct explore_result *result = &the_explore->result;

	for (u32 n = result->nr_shown; n--; ) {
		const struct shown_event *event = &result->shown[n];

		if (event->cpu == cpu && event->pc == pc && event->kind != EVENT_KIND_DRAIN &&
		    addr - event->addr < event->size)
			return event;
	}
	return NULL;
}
