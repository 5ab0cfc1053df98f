// SPDX-License-Identifier: MIT
/*
 * The callers of kprobe_storm.
 *
 * Each call is judged on its own: a probe that was surely armed before and after
 * must have been hit exactly once in between, one that was surely off not at all.
 */
#include "kprobe_storm.h"

#include <finding.h>
#include <kernel/kthread.h>
#include <kernel/smp.h>
#include <kernel/text_poke.h>

struct storm *the_storm;      /* set by storm_init(); for handlers */

struct snapshot {
	u64 generation[STORM_FUNCTION_SLOTS];
	u64 hits[STORM_FUNCTION_SLOTS];
	u64 site;             /* generation of the patch site */
};

static void take_snapshot(struct snapshot *snapshot, const struct storm_function *function,
			  u32 context)
{
	for (u32 n = 0; n < function->nr_slots; n++) {
		const struct storm_slot *slot = &the_storm->slots[function->slot[n]];

		snapshot->generation[n] = smp_load_acquire(&slot->generation);
		snapshot->hits[n] = READ_ONCE(slot->hits[context]);
	}
	snapshot->site = smp_load_acquire(&function->generation);
}

static void judge_hits(const struct storm_slot *slot, u64 before, u64 hits)
{
	u64 after = smp_load_acquire(&slot->generation);
	enum slot_state state = before == after ? SLOT_STATE(after) : SLOT_CHANGING;
	const struct side *other = NULL;

	if (state == SLOT_ON && hits < 1)
		report_finding(FINDING_LOST_HIT, &slot->record.registered, (u64)slot->kprobe,
			       1, hits, slot->addr);
	if (state == SLOT_OFF && slot->record.unregistered.tsc)
		other = &slot->record.unregistered;
	if (((state == SLOT_OFF || state == SLOT_DISABLED) && hits) || hits > 1)
		report_finding(FINDING_EXTRA_HIT, other, (u64)slot->kprobe,
			       state == SLOT_ON || state == SLOT_CHANGING, hits, slot->addr);
}

/* True if a handler may have replaced the function's result by its own. */
static bool may_be_skipped(const struct storm_function *function, const struct snapshot *before,
			   u64 result)
{
	for (u32 n = 0; n < function->nr_slots; n++) {
		const struct storm_slot *slot = &the_storm->slots[function->slot[n]];
		u64 after = smp_load_acquire(&slot->generation);

		if (!slot->record.skip_value || result != slot->record.skip_value)
			continue;
		if (before->generation[n] != after || SLOT_STATE(after) == SLOT_ON ||
		    SLOT_STATE(after) == SLOT_CHANGING)
			return true;
	}
	return false;
}

static bool must_be_skipped(const struct storm_function *function, const struct snapshot *before)
{
	for (u32 n = 0; n < function->nr_slots; n++) {
		const struct storm_slot *slot = &the_storm->slots[function->slot[n]];

		if (slot->record.skip_value && SLOT_STATE(before->generation[n]) == SLOT_ON &&
		    before->generation[n] == smp_load_acquire(&slot->generation))
			return true;
	}
	return false;
}

/* May alternative @n have been there between the two looks at its site? */
static bool may_be_patched_in(u64 before, u64 after, u32 n)
{
	if (PATCH_COUNT(after) - PATCH_COUNT(before) > 1)
		return true;
	return n == PATCH_FROM(before) || n == PATCH_TO(after);
}

static void judge_result(const struct storm_function *function, const struct snapshot *before,
			 u32 k, u64 result)
{
	u64 after = smp_load_acquire(&function->generation);
	const struct side *other = NULL;

	if (may_be_skipped(function, before, result))
		return;
	for (u32 n = 0; n < function->nr_alternatives && !must_be_skipped(function, before); n++) {
		if (may_be_patched_in(before->site, after, n) && result == function->expected[n][k])
			return;
	}
	if (function->site)
		other = text_last_writer(function->site);
	report_finding(FINDING_WRONG_RESULT, other, function->addr, function->argument[k][0],
		       function->expected[PATCH_TO(after)][k], result);
}

static bool call_and_judge(const struct storm_function *function, u32 k)
{
	struct snapshot before;
	u32 context = storm_context();
	bool armed = false;
	u64 result;

	take_snapshot(&before, function, context);
	result = ((u64 (*)(u64, u64))function->addr)(function->argument[k][0],
						     function->argument[k][1]);
	for (u32 n = 0; n < function->nr_slots; n++) {
		const struct storm_slot *slot = &the_storm->slots[function->slot[n]];

		judge_hits(slot, before.generation[n],
			   READ_ONCE(slot->hits[context]) - before.hits[n]);
		armed |= SLOT_STATE(before.generation[n]) == SLOT_ON;
	}
	judge_result(function, &before, k, result);
	return armed;
}

/* A call that another CPU makes for us in an interrupt, and what it must show. */
struct irq_call {
	const struct storm_function *function;
	u32 k;
	u32 ready;            /* written before the cross call: the handler must see it */
	u32 done;             /* written by the handler: the caller must see it */
	u32 armed;
};

static void call_in_interrupt(void *info)
{
	struct irq_call *call = info;

	if (READ_ONCE(call->ready) != 1 || READ_ONCE(call->done))
		report_finding(FINDING_CLAIM, NULL, (u64)call, call->ready, call->done);
	call->armed = call_and_judge(call->function, call->k);
	WRITE_ONCE(call->done, 1);
}

static bool call_elsewhere(struct storm_task *task, const struct storm_function *function, u32 k)
{
	struct irq_call call = { .function = function, .k = k, .ready = 1 };
	u32 cpu = storm_below(&task->random, num_cpus());

	if (smp_call_function_single(cpu, call_in_interrupt, &call, true))
		return false;
	if (READ_ONCE(call.done) != 1) {
		struct side other = side_of_cpu(cpu);

		report_finding(FINDING_CLAIM, &other, (u64)&call, call.ready, call.done);
	}
	/* Whoever touches it from now on, touches a frame that is not its own. */
	WRITE_ONCE(call.ready, 2);
	task->counts->irq_calls++;
	return call.armed;
}

static const struct storm_function *choose(struct storm_task *task)
{
	struct storm *storm = task->storm;
	bool site = storm->nr_sites &&
		    storm_below(&task->random, 1000) < storm->sites_per_mille;
	u32 among = site ? storm->nr_sites : storm->nr_functions;

	return &storm->functions[storm_below(&task->random, among)];
}

s64 storm_caller(void *argument)
{
	struct storm_task *task = argument;
	struct storm *storm = task->storm;

	while (!READ_ONCE(the_machine->stop)) {
		u32 k = storm_below(&task->random, STORM_ARGUMENTS);
		const struct storm_function *function = choose(task);
		bool armed;

		if (storm_below(&task->random, 1000) < storm->irq_per_mille)
			armed = call_elsewhere(task, function, k);
		else
			armed = call_and_judge(function, k);
		task->counts->calls++;
		task->counts->armed_calls += armed;
		current->progress++;
		cond_resched();
	}
	return 0;
}

s64 storm_init(u64 storm)
{
	the_storm = (struct storm *)storm;
	return 0;
}
