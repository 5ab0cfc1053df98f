// SPDX-License-Identifier: MIT
/* The arming tasks of kprobe_storm: probes come and go, instructions are replaced. */
#include "kprobe_storm.h"

#include <finding.h>
#include <kernel/kthread.h>
#include <kernel/rcu_tasks.h>
#include <tasks/slots.h>

#define BATCH 4

static_assert(BATCH <= SLOTS_BATCH, "a batch is registered by one call");

/* Nothing but an injected fault may make an operation fail. */
static void refused(struct storm_task *task, const struct judge_slot *slot, int error)
{
	const struct config *config = &the_machine->config;

	task->counts->refused++;
	if (!config->fail_arm && !config->fail_alloc)
		report_finding(FINDING_BAD_STATE, NULL, slot->addr, error, 0);
}

/* Slots of this task, from a random one on; returns how many were found. */
static u32 own_slots(struct storm_task *task, struct judge_slot *slots[], u32 most,
		     bool registered)
{
	struct storm *storm = task->storm;
	u32 start = random_below(&task->random, storm->nr_slots), found = 0;

	for (u32 n = 0; n < storm->nr_slots && found < most; n++) {
		struct judge_slot *slot = &storm->slots[(start + n) % storm->nr_slots];

		if (slot->owner == task->number && !!slot->kprobe == registered)
			slots[found++] = slot;
	}
	return found;
}

static void arm(struct storm_task *task, u32 most)
{
	struct judge_slot *slots[BATCH];
	u32 count = own_slots(task, slots, most, false);
	int done = slots_register(slots, count);

	if (done < 0) {
		refused(task, slots[0], done);
		return;
	}
	task->counts->registers += done;
	task->counts->batches += done > 1;
}

static void disarm(struct storm_task *task, u32 most)
{
	struct judge_slot *slots[BATCH];
	u32 count = own_slots(task, slots, most, true);

	task->counts->unregisters += slots_unregister(slots, count);
	task->counts->batches += count > 1;
}

static void toggle_enabled(struct storm_task *task, struct judge_slot *slot)
{
	int error;

	if (slot_is_on(slot)) {
		slot_disable(slot);
		task->counts->disables++;
		return;
	}
	error = slot_enable(slot);
	if (error)
		refused(task, slot, error);
	else
		task->counts->enables++;
}

/* Replace some of this task's instructions by other alternatives, in one batch. */
static void patch(struct storm_task *task, bool back)
{
	struct storm *storm = task->storm;
	struct judge_function *chosen[BATCH];
	u32 next[BATCH], count = 0, start = random_below(&task->random, storm->nr_functions);

	for (u32 n = 0; n < storm->nr_functions && count < BATCH; n++) {
		u32 index = (start + n) % storm->nr_functions;
		struct judge_function *function = &storm->functions[index].judged;
		u32 now = function_alternative(function), others = function->nr_alternatives - 1;

		if (!others || function->owner != task->number || (back && !now))
			continue;
		next[count] = back ? 0 : (now + 1 + random_below(&task->random, others)) %
					 function->nr_alternatives;
		chosen[count++] = function;
	}
	functions_patch(chosen, next, count);
	task->counts->patches += count;
}

static void one_operation(struct storm_task *task)
{
	struct storm *storm = task->storm;
	u32 total = storm->weight_register + storm->weight_enable + storm->weight_batch +
		    storm->weight_replace + storm->weight_audit;
	u32 draw = random_below(&task->random, total);
	bool registered = random_next(&task->random) & 1UL << 40;
	struct judge_slot *slot;

	if (draw < storm->weight_register) {
		if (registered)
			disarm(task, 1);
		else
			arm(task, 1);
	} else if ((draw -= storm->weight_register) < storm->weight_enable) {
		if (own_slots(task, &slot, 1, true))
			toggle_enabled(task, slot);
	} else if ((draw -= storm->weight_enable) < storm->weight_batch) {
		if (registered)
			disarm(task, BATCH);
		else
			arm(task, BATCH);
	} else if ((draw -= storm->weight_batch) < storm->weight_replace) {
		patch(task, false);
	} else {
		kprobes_audit();
		task->counts->audits++;
	}
}

static void pause_a_while(struct storm_task *task)
{
	u64 until;

	if (!task->storm->pause_us)
		return;
	until = machine_now() + random_below(&task->random, task->storm->pause_us * 1000);
	while (machine_now() < until && !READ_ONCE(the_machine->stop))
		yield();
}

s64 storm_armer(void *argument)
{
	struct storm_task *task = argument;
	struct judge_slot *slot;

	while (!READ_ONCE(the_machine->stop)) {
		one_operation(task);
		current->progress++;
		cond_resched_tasks_rcu_qs();
		pause_a_while(task);
	}
	while (own_slots(task, &slot, 1, true))
		disarm(task, BATCH);
	for (u32 n = 0; n < task->storm->nr_functions; n++)
		patch(task, true);
	return 0;
}
