// SPDX-License-Identifier: MIT
/* The arming tasks of kprobe_storm: probes come and go, instructions are replaced. */
#include "kprobe_storm.h"

#include <error.h>
#include <finding.h>
#include <kernel/kthread.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>
#include <kernel/text_poke.h>

#define BATCH 4

extern struct storm *the_storm;

static struct storm_slot *slot_of(struct kprobe *p)
{
	return container_of(p->data, struct storm_slot, record);
}

static const struct storm_function *function_at(u64 addr)
{
	for (u32 n = 0; n < the_storm->nr_functions; n++) {
		if (the_storm->functions[n].addr == addr)
			return &the_storm->functions[n];
	}
	return NULL;
}

/*
 * A nested call meets the probes of its function inside a handler: each must
 * count a miss and none a hit. "Maybe" is counted before and taken back after,
 * so that at any moment sure + maybe covers what the probe can have counted.
 */
static void nested_begin(const struct storm_function *function, u64 generation[], u64 hits[])
{
	u32 context = storm_context();

	for (u32 n = 0; n < function->nr_slots; n++) {
		struct storm_slot *slot = &the_storm->slots[function->slot[n]];

		generation[n] = smp_load_acquire(&slot->generation);
		hits[n] = READ_ONCE(slot->hits[context]);
		this_cpu_add(&slot->cpu[smp_processor_id()].maybe, 1);
	}
}

static void nested_end(const struct storm_function *function, const u64 generation[],
		       const u64 hits[])
{
	u32 context = storm_context();

	for (u32 n = 0; n < function->nr_slots; n++) {
		struct storm_slot *slot = &the_storm->slots[function->slot[n]];
		struct slot_cpu *cpu = &slot->cpu[smp_processor_id()];
		u64 after = smp_load_acquire(&slot->generation);

		if (READ_ONCE(slot->hits[context]) != hits[n])
			report_finding(FINDING_EXTRA_HIT, &slot->record.registered,
				       (u64)slot->kprobe, 0, 1, slot->addr);
		if (generation[n] != after)
			continue;
		if (SLOT_STATE(after) == SLOT_ON) {
			this_cpu_add(&cpu->sure, 1);
			barrier();
			this_cpu_add(&cpu->maybe, -1);
		} else if (SLOT_STATE(after) == SLOT_OFF) {
			this_cpu_add(&cpu->maybe, -1);
		}
	}
}

static int storm_pre_handler(struct kprobe *p, struct pt_regs *regs)
{
	struct storm_slot *slot = slot_of(p);
	const struct storm_function *nested = NULL;
	u64 generation[STORM_FUNCTION_SLOTS], hits[STORM_FUNCTION_SLOTS];
	int result;

	this_cpu_add(&slot->hits[storm_context()], 1);
	if (slot->record.function)
		nested = function_at(slot->record.function);
	if (nested)
		nested_begin(nested, generation, hits);
	result = probe_handler_named(slot->handler)->pre_handler(p, regs);
	if (nested)
		nested_end(nested, generation, hits);
	return result;
}

int storm_prepare(struct kprobe *p, struct storm_slot *slot)
{
	int error = probe_prepare(p, slot->handler, &slot->record);

	p->addr = slot->addr;
	p->pre_handler = storm_pre_handler;
	return error;
}

static void set_state(struct storm_slot *slot, enum slot_state state)
{
	u64 generation = ((slot->generation >> 2) + 1) << 2 | state;

	smp_store_release(&slot->generation, generation);
	smp_mb(); /* What is sure ends before the change begins. */
}

/* After unregister: what the probe counted against what it must and can have missed. */
static void judge_misses(struct storm_slot *slot, const struct kprobe *p)
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

static struct kprobe *new_kprobe(struct storm_slot *slot)
{
	struct kprobe *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (p)
		storm_prepare(p, slot);
	return p;
}

/* Nothing but an injected fault may make an operation fail. */
static void refused(struct storm_task *task, struct storm_slot *slot, int error)
{
	const struct config *config = &the_machine->config;

	task->counts->refused++;
	if (!config->fail_arm && !config->fail_alloc)
		report_finding(FINDING_BAD_STATE, NULL, slot->addr, error, 0);
}

static void arm_slot(struct storm_task *task, struct storm_slot *slot)
{
	struct kprobe *p = new_kprobe(slot);
	int error;

	if (!p)
		return;
	set_state(slot, SLOT_CHANGING);
	error = probe_register(p);
	if (error) {
		refused(task, slot, error);
		set_state(slot, SLOT_OFF);
		kfree(p);
		return;
	}
	slot->kprobe = p;
	task->counts->registers++;
	set_state(slot, SLOT_ON);
}

static void disarm_slot(struct storm_task *task, struct storm_slot *slot)
{
	struct kprobe *p = slot->kprobe;

	set_state(slot, SLOT_CHANGING);
	probe_unregister(p);
	set_state(slot, SLOT_OFF);
	slot->kprobe = NULL;
	judge_misses(slot, p);
	kfree(p);
	task->counts->unregisters++;
}

static void toggle_enabled(struct storm_task *task, struct storm_slot *slot)
{
	int error;

	if (SLOT_STATE(slot->generation) == SLOT_ON) {
		set_state(slot, SLOT_CHANGING);
		error = disable_kprobe(slot->kprobe);
		if (error)
			report_finding(FINDING_BAD_STATE, &slot->record.registered,
				       (u64)slot->kprobe, error, 0);
		/* Handlers that were entered before may run on: off only after a while. */
		set_state(slot, SLOT_CHANGING);
		synchronize_rcu();
		set_state(slot, SLOT_DISABLED);
		task->counts->disables++;
		return;
	}
	set_state(slot, SLOT_CHANGING);
	error = enable_kprobe(slot->kprobe);
	if (!error) {
		task->counts->enables++;
		set_state(slot, SLOT_ON);
		return;
	}
	refused(task, slot, error);
	if (!(READ_ONCE(slot->kprobe->flags) & KPROBE_FLAG_DISABLED))
		report_finding(FINDING_BAD_STATE, &slot->record.registered, (u64)slot->kprobe,
			       slot->kprobe->flags, KPROBE_FLAG_DISABLED);
	set_state(slot, SLOT_DISABLED);
}

/* Slots of this task, from a random one on; returns how many were found. */
static u32 own_slots(struct storm_task *task, struct storm_slot *slots[], u32 most,
		     bool registered)
{
	struct storm *storm = task->storm;
	u32 start = storm_below(&task->random, storm->nr_slots), found = 0;

	for (u32 n = 0; n < storm->nr_slots && found < most; n++) {
		struct storm_slot *slot = &storm->slots[(start + n) % storm->nr_slots];

		if (slot->owner == task->number && !!slot->kprobe == registered)
			slots[found++] = slot;
	}
	return found;
}

static void arm_batch(struct storm_task *task)
{
	struct storm_slot *slots[BATCH];
	struct kprobe *probes[BATCH];
	u32 count = own_slots(task, slots, BATCH, false);
	int error;

	for (u32 n = 0; n < count; n++) {
		probes[n] = new_kprobe(slots[n]);
		if (!probes[n])
			count = n;
	}
	for (u32 n = 0; n < count; n++)
		set_state(slots[n], SLOT_CHANGING);
	if (!count)
		return;
	error = register_kprobes(probes, count);
	if (error) {
		refused(task, slots[0], error);
		for (u32 n = 0; n < count; n++) {
			set_state(slots[n], SLOT_OFF);
			kfree(probes[n]);
		}
		return;
	}
	for (u32 n = 0; n < count; n++) {
		probe_record_registered(&slots[n]->record);
		slots[n]->kprobe = probes[n];
		set_state(slots[n], SLOT_ON);
	}
	task->counts->registers += count;
	task->counts->batches++;
}

static void disarm_batch(struct storm_task *task)
{
	struct storm_slot *slots[BATCH];
	struct kprobe *probes[BATCH];
	u32 count = own_slots(task, slots, BATCH, true);

	for (u32 n = 0; n < count; n++) {
		set_state(slots[n], SLOT_CHANGING);
		probe_record_unregistering(&slots[n]->record);
		probes[n] = slots[n]->kprobe;
	}
	if (!count)
		return;
	unregister_kprobes(probes, count);
	for (u32 n = 0; n < count; n++) {
		probe_record_unregistered(&slots[n]->record);
		set_state(slots[n], SLOT_OFF);
		slots[n]->kprobe = NULL;
		judge_misses(slots[n], probes[n]);
		kfree(probes[n]);
	}
	task->counts->unregisters += count;
	task->counts->batches++;
}

static void patch_state(struct storm_function *function, u32 from, u32 to)
{
	u64 count = PATCH_COUNT(function->generation) + 1;

	smp_store_release(&function->generation, PATCH_GENERATION(count, from, to));
}

/* Replace one of this task's instructions by another alternative, or several in one batch. */
static void patch(struct storm_task *task, bool back)
{
	struct storm *storm = task->storm;
	u32 chosen[BATCH], count = 0, most = back ? storm->nr_functions : BATCH;
	u32 start = storm_below(&task->random, storm->nr_functions);

	mutex_lock(&text_mutex);
	for (u32 n = 0; n < storm->nr_functions && count < most && count < BATCH; n++) {
		u32 index = (start + n) % storm->nr_functions;
		struct storm_function *function = &storm->functions[index];
		u32 now = PATCH_TO(function->generation), next;

		if (function->nr_alternatives < 2 || function->owner != task->number)
			continue;
		if (back && !now)
			continue;
		next = back ? 0 : (now + 1 + storm_below(&task->random,
				   function->nr_alternatives - 1)) % function->nr_alternatives;
		patch_state(function, now, next);
		smp_mb(); /* What is sure ends before the change begins. */
		text_poke_queue(function->site, function->bytes[next], 5, NULL);
		chosen[count++] = index;
	}
	if (count)
		text_poke_finish();
	for (u32 n = 0; n < count; n++) {
		struct storm_function *function = &storm->functions[chosen[n]];
		u32 now = PATCH_TO(function->generation);

		patch_state(function, now, now);
	}
	mutex_unlock(&text_mutex);
	task->counts->patches += count;
}

static void one_operation(struct storm_task *task)
{
	struct storm *storm = task->storm;
	u32 total = storm->weight_register + storm->weight_enable + storm->weight_batch +
		    storm->weight_replace + storm->weight_audit;
	u32 draw = storm_below(&task->random, total);
	bool registered = storm_random(&task->random) & 1UL << 40;
	struct storm_slot *slot;

	if (draw < storm->weight_register) {
		if (!own_slots(task, &slot, 1, registered))
			return;
		if (registered)
			disarm_slot(task, slot);
		else
			arm_slot(task, slot);
	} else if ((draw -= storm->weight_register) < storm->weight_enable) {
		if (own_slots(task, &slot, 1, true))
			toggle_enabled(task, slot);
	} else if ((draw -= storm->weight_enable) < storm->weight_batch) {
		if (registered)
			disarm_batch(task);
		else
			arm_batch(task);
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
	until = machine_now() + storm_below(&task->random, task->storm->pause_us * 1000);
	while (machine_now() < until && !READ_ONCE(the_machine->stop))
		yield();
}

s64 storm_armer(void *argument)
{
	struct storm_task *task = argument;
	struct storm_slot *slot;

	while (!READ_ONCE(the_machine->stop)) {
		one_operation(task);
		current->progress++;
		pause_a_while(task);
	}
	while (own_slots(task, &slot, 1, true))
		disarm_slot(task, slot);
	for (u32 n = 0; n < task->storm->nr_functions; n++)
		patch(task, true);
	return 0;
}
