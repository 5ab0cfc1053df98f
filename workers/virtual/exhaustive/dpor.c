// SPDX-License-Identifier: MIT
/*
 * Source-DPOR (Abdulla, Aronis, Jonsson and Sagonas, JACM 64:4, 2017) with sleep
 * sets: at each node only those agents are tried that some race asks for.
 *
 * Two steps race if they matter to each other and nothing else orders them; then
 * the first one's node must also begin an execution in which the second one
 * comes first. What is ordered is known by vector clocks, one for each CPU and
 * one for its drain: a drain comes after what put its store into the buffer, and
 * a locked operation or fence after its CPU's drains. These orders cannot be
 * reversed and are no races.
 *
 * Where we differ: steps may enable and disable each other (locks, awaits,
 * interrupts), so where no agent that a race asks for can go, all are tried; and
 * what waits when a run ends is taken for a step that comes too late.
 */
#include "exhaustive/clock.h"
#include "exhaustive/depend.h"
#include "exhaustive/exhaust.h"
#include "exhaustive/picks.h"

#define MAX_EVENTS 65536

struct node {
	u32 interruptible;    /* CPUs that do not hold interrupts off */
	u64 enabled;
	u64 sleep;            /* asleep here, and those done from here */
	u64 wanted;           /* to be done from here */
	u8 agent;             /* taken now */
};

static struct node nodes[MAX_EVENTS];
static struct operation steps[MAX_EVENTS];
static u64 olds[MAX_EVENTS];  /* what was committed where a step writes, before it */
static struct clock clocks[MAX_EVENTS]; /* what came before, and the step itself */
static u32 nr_nodes;          /* on the way */
static u32 nr_known;          /* of those: steps and clocks are those of the run before */
static u32 nr_fixed;          /* of those: given, and others do what else there is */
static u32 depth;             /* of this run */
static u64 sleeping;          /* at the node that comes next */
u32 clock_words;
struct history histories[VIRTUAL_CPUS];

static inline bool is_interrupt(const struct operation *step)
{
	return AGENT_KIND(step->agent) == AGENT_IRQ;
}

/* Is the step at @place among what @clock has seen? */
static inline bool is_before(u32 place, const struct clock *clock)
{
	return last_known(clock, &steps[place]) > place;
}

/*
 * The step at @place and the one at @here, which is @step and knows @clock so
 * far, race. Let the node of the first also try one that can begin what came
 * after it and not because of it, and then @step.
 */
static void race(u32 place, u32 here, const struct operation *step, const struct clock *clock)
{
	struct node *node = &nodes[place];
	u64 have = node->wanted | node->sleep, initials = 0;
	struct clock first;

	if (place < nr_fixed)
		return;
	for (u32 n = 0; n < clock_words; n++)
		first.cpu[n] = ~TOPS;
	for (u32 n = place + 1; n < here; n++) {
		if (is_before(place, &clocks[n]))
			continue;
		if (!clock_has_any(&clocks[n], &first)) {
			initials |= 1UL << steps[n].agent;
			if (have & initials)
				return;
		}
		if (last_known(&first, &steps[n]) == (u32)~TOPS)
			set_place(&first, &steps[n], n + 1);
	}
	if (!clock_has_any(clock, &first))
		initials |= 1UL << step->agent;
	if (have & initials)
		return;
	initials &= node->enabled;
	if (initials >> step->agent & 1)
		node->wanted |= 1UL << step->agent;
	else if (initials)
		node->wanted |= initials & -initials;
	else
		node->wanted |= node->enabled;
}

static inline bool only_reads(const struct operation *step)
{
	return (step->effect & (EFFECT_READ | EFFECT_WRITE)) == EFFECT_READ;
}

/*
 * A load is answered by its own buffer where @held says so; for these bytes
 * nobody else's write matters, before or after, until the store has left.
 */
static inline bool conflict(const struct operation *before, const struct operation *step, u64 held)
{
	u32 effects = before->effect | step->effect;

	if (unlikely(effects & ~(EFFECT_READ | EFFECT_WRITE)) && others_depend(before, step))
		return true;
	if (!(effects & EFFECT_WRITE) ||
	    !overlap(before->addr, before->size, step->addr, step->size))
		return false;
	if (only_reads(step))
		return shared_bytes(step->addr, step->size, before->addr, before->size) & ~held;
	if (!(before->effect & EFFECT_WRITE))
		return load_notices(before, step);
	return writes_depend(before, step);
}

/* Of one CPU: an interrupt, and a drain that lets the CPU go on. */
static inline bool is_release(const struct operation *a, const struct operation *b)
{
	u32 effects = a->effect | b->effect;

	return effects & EFFECT_RELEASE && effects & EFFECT_INTERRUPT;
}

/*
 * Before the step at @place, @step could not have been done: it waited for it. Of a count that
 * comes to nothing, no part can be left out.
 */
static inline bool lets_go_on(u32 place, const struct operation *step)
{
	const struct operation *before = &steps[place];
	u64 old = olds[place];

	switch (step->kind) {
	case EVENT_KIND_LOCK:
		return before->kind == EVENT_KIND_UNLOCK;
	case EVENT_KIND_IDLE:
		return before->effect & EFFECT_NOTIFY && !old;
	case EVENT_KIND_AWAIT:
		if (!(before->effect & EFFECT_WRITE) || before->addr != step->addr ||
		    before->size != step->size)
			return false;
		if (before->effect & EFFECT_ADD)
			return step->bits == ~0u;
		return !ends_wait(old, step->value, step->bits);
	}
	return false;
}

/* Look back from @step, at @here, for what it races with; @clock learns what is before. */
static void look_back(u32 here, const struct operation *step, struct clock *clock)
{
	u64 held = only_reads(step) ? held_bytes(step) : 0;
	struct clock unlocked;

	for (u32 n = 0; n < clock_words; n++)
		unlocked.cpu[n] = 0;
	for (u32 n = here; n--; ) {
		const struct operation *before = &steps[n];

		if (before->cpu == step->cpu && !is_own_text(before, step)) {
			/* Both orders are tried: see wanted_with_interrupts(). */
			if (unlikely(is_release(before, step)))
				clock_join(clock, &clocks[n]);
			/* Had the load come earlier, the buffer would still have held these. */
			if (is_drain(before) && only_reads(step) && !is_fetch(step) &&
			    overlap(step->addr, step->size, before->addr, before->size))
				held |= shared_bytes(step->addr, step->size, before->addr,
						     before->size);
			continue;
		}
		if (!conflict(before, step, held) || is_before(n, clock))
			continue;
		/* What made it pending comes before it; nothing was to be taken before that. */
		if (unlikely(is_interrupt(step)) && !(nodes[n].enabled >> step->agent & 1)) {
			clock_join(clock, &clocks[n]);
			continue;
		}
		/* No lock without the unlock: what can be reversed is the lock before. */
		if (lets_go_on(n, step)) {
			clock_join(&unlocked, &clocks[n]);
			continue;
		}
		race(n, here, step, clock);
		clock_join(clock, &clocks[n]);
	}
	clock_join(clock, &unlocked);
}

/*
 * The step at @here has made an interrupt of @cpu pending, which could have come
 * before the last step of that CPU that did not hold interrupts off.
 */
static void race_with_interrupted(u32 here, u32 cpu)
{
	const struct operation interrupt = {
		.agent = AGENT(AGENT_IRQ, cpu), .cpu = cpu, .kind = EVENT_KIND_IRQ,
		.effect = EFFECT_INTERRUPT,
	};

	for (u32 n = here; n--; ) {
		const struct operation *before = &steps[n];

		if (before->cpu != cpu || (is_drain(before) && !(before->effect & EFFECT_RELEASE)))
			continue;
		if (is_before(n, &clocks[here]) || is_interrupt(before))
			return;
		if (!(nodes[n].interruptible >> cpu & 1))
			continue;
		race(n, here + 1, &interrupt, &clocks[here]);
		return;
	}
}

/* A CPU more than ever before: the clocks so far know nothing of it. */
static void widen(void)
{
	for (; clock_words < engine.nr_cpus; clock_words++) {
		u32 word = clock_words;

		for (u32 n = 0; n < MAX_EVENTS && n < nr_nodes; n++)
			clocks[n].cpu[word] = 0;
		for (u32 cpu = 0; cpu < VIRTUAL_CPUS; cpu++) {
			struct history *history = &histories[cpu];

			history->done.cpu[word] = history->drained.cpu[word] = 0;
			for (u32 n = 0; n < VIRTUAL_STORES; n++)
				history->queued[n].cpu[word] = history->room[n].cpu[word] = 0;
		}
	}
}

/* What is in memory, whatever buffers hold. */
static u64 committed_word(u64 addr, u32 size)
{
	const struct vcpu *cpu = &engine.vcpu[engine.view];

	for (u32 n = 0; engine.view != NO_CPU && n < cpu->count; n++) {
		const struct store *store = &cpu->buffer[(cpu->head + n) % VIRTUAL_STORES];

		if (overlap(store->addr, store->size, addr, size)) {
			view_take_back();
			break;
		}
	}
	return load_word(addr, size);
}

static void take_step(u32 here, u32 agent)
{
	struct operation *step = &steps[here];

	queue_stores(AGENT_OF_CPU(agent));
	if (here >= nr_known) {
		*step = operation_of(agent);
		if (step->effect & EFFECT_WRITE && step->size <= sizeof(u64))
			olds[here] = committed_word(step->addr, step->size);
		begin_clock(&clocks[here], step);
		look_back(here, step, &clocks[here]);
		set_place(&clocks[here], step, here + 1);
		if (unlikely(step->effect & EFFECT_NOTIFY))
			race_with_interrupted(here, step->target);
	}
	file_clock(&clocks[here], step);
}

/*
 * Interrupts are not reduced with respect to their own CPU: where one of these goes
 * and another one could, that is tried, too; what the CPU itself does is therefore
 * taken to be ordered with them. A CPU that waits may go on when others have gone.
 */
static u64 wanted_with(u32 agent, u64 enabled)
{
	u32 cpu = AGENT_OF_CPU(agent);
	u64 interrupts = AGENT_BIT(AGENT_IRQ, cpu) | AGENT_BIT(AGENT_TICK, cpu);

	interrupts &= enabled;
	if (likely(!interrupts))
		return 0;
	if (AGENT_KIND(agent) == AGENT_DRAIN && !waits_for_drain(&engine.vcpu[cpu]))
		return 0;
	return enabled >> cpu & 1 ? interrupts | 1UL << cpu : enabled;
}

/*
 * What could come to a CPU, and cannot any more since another one has taken the last
 * step, such as to end the last task, could have come before.
 */
static void want_what_is_gone(u64 enabled)
{
	struct node *node = &nodes[depth - 1];
	u64 gone = node->enabled & ~enabled & ~(CPU_BITS | CPU_BITS << AGENT(AGENT_DRAIN, 0));
	u32 cpu = AGENT_OF_CPU(node->agent);

	node->wanted |= gone & ~(AGENT_BIT(AGENT_IRQ, cpu) | AGENT_BIT(AGENT_TICK, cpu));
}

static void dpor_begin(u64 run)
{
	depth = 0;
	sleeping = 0;
	for (u32 cpu = 0; cpu < clock_words; cpu++) {
		histories[cpu].stores = 0;
		for (u32 n = 0; n < clock_words; n++)
			histories[cpu].done.cpu[n] = histories[cpu].drained.cpu[n] = 0;
	}
	picks_begin();
	if (run)
		return;
	picks_reset();
	nr_known = nr_nodes = 0;
	for (u32 n = 0; n < exhaust_root.count; n++) {
		u32 agent = exhaust_root.agent[n];

		if (IS_PICK(agent))
			picks_fix(nr_nodes, OPTION_OF(agent));
		else
			nodes[nr_nodes++] = (struct node){ .sleep = exhaust_root.sleep[n],
							   .agent = agent };
	}
	nr_fixed = nr_nodes;
}

/* CPUs that would take an interrupt now, if one were pending. */
static u32 interruptible_cpus(void)
{
	u32 cpus = 0;

	for (u32 cpu = 0; engine.interrupts.enabled && cpu < engine.nr_cpus; cpu++)
		cpus |= (u32)engine.interrupts.enabled(cpu) << cpu;
	return cpus;
}

static u32 dpor_choose(u64 enabled)
{
	struct node *node = &nodes[depth];

	if (unlikely(engine.nr_cpus > clock_words))
		widen();
	if (depth < nr_nodes) {
		if (!(enabled >> node->agent & 1) ||
		    (depth >= nr_fixed && node->enabled != enabled))
			engine_end(RUN_DIVERGED);
	} else {
		u64 open = enabled & ~sleeping;

		if (!open)
			engine_end(RUN_CUT);
		if (unlikely(depth == MAX_EVENTS))
			engine_end(RUN_BOUND);
		node->enabled = enabled;
		node->interruptible = interruptible_cpus();
		node->sleep = sleeping;
		node->agent = engine_default(open);
		node->wanted = 1UL << node->agent;
		nr_nodes = depth + 1;
	}
	if (depth >= nr_known && depth >= nr_fixed)
		node->wanted |= wanted_with(node->agent, enabled);
	if (depth >= nr_known && depth > nr_fixed)
		want_what_is_gone(enabled);
	take_step(depth, node->agent);
	if (++depth == nr_nodes)
		sleeping = independent_of(node->sleep, node->agent);
	return node->agent;
}

static u32 dpor_pick(struct vcpu *cpu, u32 options)
{
	return picks_take(depth, options);
}

static void dpor_passed(u32 cpu, u32 kind, u64 value)
{
	struct history *history = &histories[cpu];

	if (unlikely(engine.nr_cpus > clock_words))
		widen();
	queue_stores(cpu);
	if (kind == EVENT_KIND_JOIN) {
		clock_join(&history->done, &histories[value].done);
		clock_join(&history->done, &histories[value].drained);
	} else if (kind != EVENT_KIND_FULL) {
		clock_join(&history->done, &history->drained);
	}
}

static void dpor_created(u32 parent, u32 child)
{
	if (unlikely(engine.nr_cpus > clock_words))
		widen();
	queue_stores(parent);
	clock_copy(&histories[child].done, &histories[parent].done);
}

/* What waits could be done if something that came before had come later. */
static void look_back_from_waiting(void)
{
	for (u64 left = engine.blocked; left; left &= left - 1) {
		struct operation step = operation_of(__builtin_ctzl(left));
		struct clock clock;

		if (!step.effect)
			continue;
		queue_stores(step.cpu);
		begin_clock(&clock, &step);
		look_back(nr_nodes, &step, &clock);
	}
}

static bool dpor_end(enum run_end end)
{
	if (end != RUN_CUT && end != RUN_BOUND && nr_nodes > nr_fixed) {
		look_back_from_waiting();
		want_what_is_gone(0);
		/* The end of it all came before what others would have done. */
		if (engine.ready | engine.drains)
			nodes[nr_nodes - 1].wanted |= nodes[nr_nodes - 1].enabled;
	}
	for (; !picks_next(nr_nodes); nr_nodes--) {
		struct node *node = nodes + nr_nodes - 1;
		u64 open;

		if (nr_nodes == nr_fixed)
			return false;
		node->sleep |= 1UL << node->agent;
		open = node->wanted & ~node->sleep;
		if (open) {
			node->agent = __builtin_ctzl(open);
			nr_known = nr_nodes - 1;
			return true;
		}
	}
	nr_known = nr_nodes;
	return true;
}

const struct strategy dpor_strategy = {
	.name = "dpor",
	.every_step = true,
	.patient = true,
	.begin = dpor_begin,
	.choose = dpor_choose,
	.pick = dpor_pick,
	.passed = dpor_passed,
	.created = dpor_created,
	.end = dpor_end,
};
