// SPDX-License-Identifier: MIT
/*
 * What is surely true of a probe is written down before and after every change
 * of it. A call reads that before and after itself: only if nothing has changed
 * is there something to judge.
 */
#include <finding.h>
#include <irqflags.h>
#include <kernel/slab.h>
#include <kernel/smp.h>
#include <kernel/text_poke.h>
#include <tasks/judge.h>

#define MANY (1UL << 32)      /* more misses than a run can make */

u64 judge_armed = SLOT_ON;    /* see judge.h; whoever arms or disarms all */

struct snapshot {
	u64 generation[JUDGE_SLOTS];
	u64 hits[JUDGE_SLOTS];
	u64 armed;            /* generation of judge_armed */
	u64 site;             /* generation of the patch site */
};

void generation_change(u64 *generation)
{
	u64 old = READ_ONCE(*generation);

	for (;;) {
		u64 new = (old & ~GENERATION_STATE) | SLOT_CHANGING, seen;

		if (old & GENERATION_CHANGERS)
			new |= GENERATION_OVERLAP;
		else
			new &= ~(GENERATION_OVERLAP | GENERATION_OFF);
		new += GENERATION_COUNT + GENERATION_CHANGER;
		/* A full barrier: what is sure ends before the change begins. */
		seen = cmpxchg(generation, old, new);
		if (seen == old)
			return;
		old = seen;
	}
}

void generation_settle(u64 *generation, enum slot_state state)
{
	u64 old = READ_ONCE(*generation);

	for (;;) {
		u64 new = old + GENERATION_COUNT - GENERATION_CHANGER, seen;
		enum slot_state last = state;

		if (state == SLOT_OFF)
			new |= GENERATION_OFF;
		if (new & GENERATION_OVERLAP)
			last = new & GENERATION_OFF ? SLOT_OFF : SLOT_CHANGING;
		if (!(new & GENERATION_CHANGERS))
			new = (new & ~GENERATION_STATE) | last;
		/* A full barrier: the change has ended before it is sure. */
		seen = cmpxchg(generation, old, new);
		if (seen == old)
			return;
		old = seen;
	}
}

/* What was surely true from @before to @after. */
static enum slot_state sure_state(u64 before, u64 after)
{
	return before == after ? (enum slot_state)(after & GENERATION_STATE) : SLOT_CHANGING;
}

/* The same of a slot, given that of all probes. */
static enum slot_state sure_of_both(enum slot_state slot, enum slot_state all)
{
	return all == SLOT_ON || slot == SLOT_OFF || slot == SLOT_DISABLED ? slot : all;
}

u32 judge_context(void)
{
	const struct cpu *cpu = this_cpu();

	if (!in_interrupt())
		return current->index;
	return MAX_TASKS + cpu->id * CPU_CONTEXTS + (in_nmi() ? 0 : cpu->irq_depth);
}

static void take_snapshot(struct snapshot *snapshot, const struct judge_function *function,
			  u32 context)
{
	for (u32 n = 0; n < function->nr_slots; n++) {
		const struct judge_slot *slot = function->slot[n];

		snapshot->generation[n] = smp_load_acquire(&slot->generation);
		snapshot->hits[n] = READ_ONCE(slot->hits[context]);
	}
	snapshot->armed = smp_load_acquire(&judge_armed);
	snapshot->site = smp_load_acquire(&function->generation);
}

static enum slot_state state_since(const struct snapshot *before, u32 n,
				   const struct judge_slot *slot)
{
	u64 generation = smp_load_acquire(&slot->generation);
	u64 armed = smp_load_acquire(&judge_armed);

	/* Tracers are not disarmed with the probes. */
	return sure_of_both(sure_state(before->generation[n], generation),
			    slot->nr_traced ? SLOT_ON : sure_state(before->armed, armed));
}

static void judge_hits(const struct judge_slot *slot, enum slot_state state, u64 hits)
{
	const struct side *other = NULL;

	if (state == SLOT_ON && hits < 1 && slot->passes)
		report_finding(FINDING_LOST_HIT, &slot->record.registered, (u64)slot->kprobe,
			       1, hits, slot->addr);
	if (state == SLOT_OFF && slot->record.unregistered.tsc)
		other = &slot->record.unregistered;
	if (((state == SLOT_OFF || state == SLOT_DISABLED) && hits) ||
	    (hits > 1 && slot->passes))
		report_finding(FINDING_EXTRA_HIT, other, (u64)slot->kprobe,
			       state == SLOT_ON || state == SLOT_CHANGING, hits, slot->addr);
}

/* A handler may have replaced the function's result by its own; or it must have. */
struct skips {
	bool may;
	bool must;
};

static struct skips find_skips(const struct judge_function *function,
			       const struct snapshot *before, u64 result)
{
	struct skips skips = { .may = function->any_result };

	for (u32 n = 0; n < function->nr_slots; n++) {
		const struct judge_slot *slot = function->slot[n];
		enum slot_state state;

		if (!slot->record.skip_value)
			continue;
		state = state_since(before, n, slot);
		if (result == slot->record.skip_value)
			skips.may |= state == SLOT_ON || state == SLOT_CHANGING;
		skips.must |= state == SLOT_ON;
	}
	return skips;
}

/* May alternative @n have been there between the two looks at its site? */
static bool may_be_patched_in(u64 before, u64 after, u32 n)
{
	if (PATCH_COUNT(after) - PATCH_COUNT(before) > 1)
		return true;
	return n == PATCH_FROM(before) || n == PATCH_TO(after);
}

static void judge_result(const struct judge_function *function, const struct judged_call *call,
			 const struct snapshot *before, struct skips skips, u64 result)
{
	u64 after = smp_load_acquire(&function->generation);
	const struct side *other = NULL;

	if (skips.may)
		return;
	for (u32 n = 0; n < function->nr_alternatives && !skips.must; n++) {
		if (may_be_patched_in(before->site, after, n) && result == call->expected[n])
			return;
	}
	if (function->site)
		other = text_last_writer(function->site);
	report_finding(FINDING_WRONG_RESULT, other, function->addr, call->argument[0],
		       call->expected[PATCH_TO(after)], result);
}

/*
 * A nested call meets the probes of its function inside a handler: each must
 * count a miss and none a hit. "Maybe" is counted before and taken back after,
 * so that at any moment sure + maybe covers what the probe can have counted.
 */
static void nested_begin(const struct judge_function *function, struct snapshot *before)
{
	take_snapshot(before, function, judge_context());
	for (u32 n = 0; n < function->nr_slots; n++) {
		struct judge_slot *slot = function->slot[n];

		this_cpu_add(&slot->cpu[smp_processor_id()].maybe, slot->passes ? 1 : MANY);
	}
}

static void nested_end(const struct judge_function *function, const struct snapshot *before)
{
	u32 context = judge_context();

	for (u32 n = 0; n < function->nr_slots; n++) {
		struct judge_slot *slot = function->slot[n];
		struct slot_cpu *cpu = &slot->cpu[smp_processor_id()];
		enum slot_state state = state_since(before, n, slot);

		if (READ_ONCE(slot->hits[context]) != before->hits[n])
			report_finding(FINDING_EXTRA_HIT, &slot->record.registered,
				       (u64)slot->kprobe, 0, 1, slot->addr);
		if (slot->passes && state == SLOT_ON) {
			this_cpu_add(&cpu->sure, 1);
			barrier();
			this_cpu_add(&cpu->maybe, -1);
		} else if (slot->passes && state == SLOT_OFF) {
			this_cpu_add(&cpu->maybe, -1);
		}
	}
}

/* In an NMI that has come into a handler of kprobes, or into what follows it: all are missed. */
static bool judge_missed_call(const struct judge_function *function,
			      const struct judged_call *call)
{
	const struct skips none = { 0 };
	struct snapshot before;
	u64 result;

	nested_begin(function, &before);
	result = machine_call_text(function->addr, call->argument[0], call->argument[1]);
	nested_end(function, &before);
	judge_result(function, call, &before, none, result);
	return false;
}

bool judge_call(const struct judge_function *function, const struct judged_call *call)
{
	struct snapshot before;
	u32 context = judge_context();
	bool armed = false;
	u64 result;

	if (unlikely(in_nmi() && kprobe_running()))
		return judge_missed_call(function, call);
	take_snapshot(&before, function, context);
	result = machine_call_text(function->addr, call->argument[0], call->argument[1]);
	for (u32 n = 0; n < function->nr_slots; n++) {
		const struct judge_slot *slot = function->slot[n];
		enum slot_state state = state_since(&before, n, slot);

		judge_hits(slot, state, READ_ONCE(slot->hits[context]) - before.hits[n]);
		armed |= state == SLOT_ON;
	}
	judge_result(function, call, &before, find_skips(function, &before, result), result);
	return armed;
}

/* A call that another CPU makes for us in an interrupt, and what it must show. */
struct irq_call {
	const struct judge_function *function;
	const struct judged_call *call;
	u32 ready;            /* written before the cross call: the handler must see it */
	u32 done;             /* written by the handler: the caller must see it */
	u32 armed;
};

static void call_in_interrupt(void *info)
{
	struct irq_call *irq = info;

	if (READ_ONCE(irq->ready) != 1 || READ_ONCE(irq->done))
		report_finding(FINDING_CLAIM, NULL, (u64)irq, irq->ready, irq->done);
	irq->armed = judge_call(irq->function, irq->call);
	WRITE_ONCE(irq->done, 1);
}

int judge_call_on(int cpu, const struct judge_function *function, const struct judged_call *call)
{
	struct irq_call irq = { .function = function, .call = call, .ready = 1 };
	int error = smp_call_function_single(cpu, call_in_interrupt, &irq, true);

	if (error)
		return error;
	if (READ_ONCE(irq.done) != 1) {
		struct side other = side_of_cpu(cpu);

		report_finding(FINDING_CLAIM, &other, (u64)&irq, irq.ready, irq.done);
	}
	/* Whoever touches it from now on, touches a frame that is not its own. */
	WRITE_ONCE(irq.ready, 2);
	return irq.armed;
}

static int judged_pre_handler(struct kprobe *p, struct pt_regs *regs)
{
	struct snapshot before;
	struct judge_slot *slot;
	int result;

	/* Before the slot: freed memory does not point to it. */
	slab_check(p, sizeof(*p));
	slot = container_of(p->data, struct judge_slot, record);
	this_cpu_add(&slot->hits[judge_context()], 1);
	if (slot->nested)
		nested_begin(slot->nested, &before);
	result = probe_handler_named(slot->handler)->pre_handler(p, regs);
	if (slot->nested)
		nested_end(slot->nested, &before);
	return result;
}

int judge_prepare(struct kprobe *p, struct judge_slot *slot)
{
	int error = probe_prepare(p, slot->handler, &slot->record);

	p->addr = slot->addr;
	p->flags = slot->disabled ? KPROBE_FLAG_DISABLED : 0;
	p->pre_handler = judged_pre_handler;
	return error;
}

void judge_misses(struct judge_slot *slot, const struct kprobe *p)
{
	u64 counted = READ_ONCE(p->nmissed), maybe = 0, sure = 0;

	/* In this order: a count that moves from maybe to sure is seen at least once. */
	for (u32 n = 0; n < num_cpus(); n++)
		maybe += READ_ONCE(slot->cpu[n].maybe);
	smp_rmb();
	for (u32 n = 0; n < num_cpus(); n++)
		sure += READ_ONCE(slot->cpu[n].sure);
	sure -= slot->judged;
	if (counted < sure || counted > sure + maybe)
		report_finding(FINDING_LOST_MISS, &slot->record.registered, (u64)p, sure,
			       sure + maybe, counted);
	slot->judged += sure;
}
