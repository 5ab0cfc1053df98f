// SPDX-License-Identifier: MIT
/*
 * A slot's life is claimed by one task at a time. Its kprobe is freed by the
 * last user: whoever unregistered it, or enables or disables it meanwhile.
 */
#include <error.h>
#include <finding.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/slab.h>
#include <kernel/text_poke.h>
#include <tasks/slots.h>
#include <tasks/tracers.h>

static bool claim_life(struct judge_slot *slot, u32 from, u32 to)
{
	return cmpxchg(&slot->life, from, to) == from;
}

static void put_kprobe(struct judge_slot *slot, struct kprobe *p)
{
	if (!atomic_dec_and_test(&slot->users))
		return;
	kfree(p);
	slot->kprobe = NULL;
	smp_store_release(&slot->life, SLOT_FREE);
}

static struct kprobe *new_kprobe(struct judge_slot *slot)
{
	struct kprobe *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (p)
		judge_prepare(p, slot);
	return p;
}

/* None of them was registered. */
static void give_up(struct judge_slot *slots[], struct kprobe *probes[], u32 count)
{
	for (u32 n = 0; n < count; n++) {
		kfree(probes[n]);
		smp_store_release(&slots[n]->life, SLOT_FREE);
	}
}

static void begin_life(struct judge_slot *slot, struct kprobe *p)
{
	probe_record_registered(&slot->record);
	slot->kprobe = p;
	generation_settle(&slot->generation, slot->disabled ? SLOT_DISABLED : SLOT_ON);
	smp_store_release(&slot->life, SLOT_REGISTERED);
	smp_store_release(&slot->users, 1);
}

static int register_claimed(struct judge_slot *slots[], u32 count)
{
	struct kprobe *probes[SLOTS_BATCH];
	int error;

	for (u32 n = 0; n < count; n++) {
		probes[n] = new_kprobe(slots[n]);
		if (probes[n])
			continue;
		give_up(slots, probes, n);
		for (; n < count; n++)
			smp_store_release(&slots[n]->life, SLOT_FREE);
		return -ENOMEM;
	}
	for (u32 n = 0; n < count; n++)
		generation_change(&slots[n]->generation);
	error = register_kprobes(probes, count);
	if (error) {
		for (u32 n = 0; n < count; n++)
			generation_settle(&slots[n]->generation, SLOT_OFF);
		give_up(slots, probes, count);
		return error;
	}
	for (u32 n = 0; n < count; n++)
		begin_life(slots[n], probes[n]);
	return 0;
}

int slots_register(struct judge_slot *slots[], u32 count)
{
	struct judge_slot *claimed[SLOTS_BATCH];
	u32 taken = 0;
	int error;

	for (u32 n = 0; n < count && n < SLOTS_BATCH; n++) {
		if (claim_life(slots[n], SLOT_FREE, SLOT_REGISTERING))
			claimed[taken++] = slots[n];
	}
	/* Tracers come alone. */
	if (taken && slot_is_tracer(claimed[0]))
		return tracer_register(claimed[0]);
	error = register_claimed(claimed, taken);
	return error ? error : (int)taken;
}

static void end_life(struct judge_slot *slot, struct kprobe *p)
{
	probe_record_unregistered(&slot->record);
	generation_settle(&slot->generation, SLOT_OFF);
	judge_misses(slot, p);
	put_kprobe(slot, p);
}

u32 slots_unregister(struct judge_slot *slots[], u32 count)
{
	struct judge_slot *claimed[SLOTS_BATCH];
	struct kprobe *probes[SLOTS_BATCH];
	u32 taken = 0, tracers = 0;

	for (u32 n = 0; n < count && n < SLOTS_BATCH; n++) {
		if (!claim_life(slots[n], SLOT_REGISTERED, SLOT_UNREGISTERING))
			continue;
		if (slot_is_tracer(slots[n])) {
			tracer_unregister(slots[n]);
			tracers++;
		} else {
			claimed[taken++] = slots[n];
		}
	}
	for (u32 n = 0; n < taken; n++) {
		generation_change(&claimed[n]->generation);
		probe_record_unregistering(&claimed[n]->record);
		probes[n] = claimed[n]->kprobe;
	}
	unregister_kprobes(probes, taken);
	for (u32 n = 0; n < taken; n++)
		end_life(claimed[n], probes[n]);
	return taken + tracers;
}

/* An error is right if the probe was unregistered meanwhile, or its text is gone. */
static int misused(const struct judge_slot *slot, const struct kprobe *p, int error)
{
	if (error == -EINVAL && (smp_load_acquire(&slot->life) != SLOT_REGISTERED ||
				 READ_ONCE(p->flags) & KPROBE_FLAG_GONE))
		return SLOT_MISUSED;
	return error;
}

/* Enabling has failed. If nobody else changes it, then it is disabled as before. */
static void check_disabled(const struct judge_slot *slot, const struct kprobe *p)
{
	u32 flags = READ_ONCE(p->flags);

	smp_rmb(); /* The flags before whether somebody may have changed them. */
	if (!(flags & KPROBE_FLAG_DISABLED) &&
	    !(READ_ONCE(slot->generation) & GENERATION_OVERLAP))
		report_finding(FINDING_BAD_STATE, &slot->record.registered, (u64)p, flags,
			       KPROBE_FLAG_DISABLED);
}

int slot_enable(struct judge_slot *slot)
{
	struct kprobe *p;
	int error;

	if (!atomic_inc_not_zero(&slot->users))
		return SLOT_MISUSED;
	p = slot->kprobe;
	generation_change(&slot->generation);
	error = misused(slot, p, enable_kprobe(p));
	if (error < 0)
		check_disabled(slot, p);
	generation_settle(&slot->generation, error ? SLOT_DISABLED : SLOT_ON);
	put_kprobe(slot, p);
	return error;
}

int slot_disable(struct judge_slot *slot)
{
	struct kprobe *p;
	int error;

	if (!atomic_inc_not_zero(&slot->users))
		return SLOT_MISUSED;
	p = slot->kprobe;
	generation_change(&slot->generation);
	error = misused(slot, p, disable_kprobe(p));
	if (error < 0)
		report_finding(FINDING_BAD_STATE, &slot->record.registered, (u64)p, error, 0);
	generation_settle(&slot->generation, SLOT_DISABLED);
	put_kprobe(slot, p);
	return error;
}

int slots_arm_all(struct judge_slot *slots, u32 count)
{
	int error;

	generation_change(&judge_armed);
	error = arm_all_kprobes();
	/* Those that could not be armed are disabled now, and nobody says which. */
	for (u32 n = 0; n < count && error; n++) {
		generation_change(&slots[n].generation);
		generation_settle(&slots[n].generation, SLOT_CHANGING);
	}
	generation_settle(&judge_armed, SLOT_ON);
	return error;
}

void slots_disarm_all(void)
{
	generation_change(&judge_armed);
	disarm_all_kprobes();
	generation_settle(&judge_armed, SLOT_DISABLED);
}

/* Does the slot lose anything with @module? */
static bool slot_is_in(const struct judge_slot *slot, int module)
{
	bool found = text_module_at(slot->addr) == module;

	for (u32 n = 0; n < slot->nr_traced; n++)
		found |= text_module_at(slot->traced[n]) == module;
	return found;
}

/* A tracer of several functions may still be hit by the others. */
static enum slot_state state_unloaded(const struct judge_slot *slot, int error)
{
	return error || slot->nr_traced > 1 ? SLOT_CHANGING : SLOT_DISABLED;
}

int slots_unload(struct judge_slot *slots, u32 count, int module)
{
	int error;

	for (u32 n = 0; n < count; n++) {
		if (slot_is_in(&slots[n], module))
			generation_change(&slots[n].generation);
	}
	error = text_module_unload(module);
	/* Unloaded, none of its probes is hit; but it may be back before a change is over. */
	for (u32 n = 0; n < count; n++) {
		if (slot_is_in(&slots[n], module))
			generation_settle(&slots[n].generation, state_unloaded(&slots[n], error));
	}
	return error;
}

static void patch_state(struct judge_function *function, u32 from, u32 to)
{
	u64 count = PATCH_COUNT(function->generation) + 1;

	smp_store_release(&function->generation, PATCH_GENERATION(count, from, to));
}

/* What was loaded does nothing, in however many instructions: that is what a trap there does. */
static const u8 nothing[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };

/* The set of CPUs does not change. */
static void patch_batch(struct judge_function *functions[], const u32 alternatives[], u32 count)
{
	mutex_lock(&text_mutex);
	for (u32 n = 0; n < count; n++) {
		struct judge_function *function = functions[n];

		patch_state(function, PATCH_TO(function->generation), alternatives[n]);
		smp_mb(); /* What is sure ends before the change begins. */
		text_poke_queue(function->site, function->bytes[alternatives[n]], sizeof(nothing),
				alternatives[n] ? NULL : nothing);
	}
	if (count)
		text_poke_finish();
	for (u32 n = 0; n < count; n++)
		patch_state(functions[n], alternatives[n], alternatives[n]);
	mutex_unlock(&text_mutex);
}

void functions_patch(struct judge_function *functions[], const u32 alternatives[], u32 count)
{
	cpus_read_lock();
	patch_batch(functions, alternatives, count);
	cpus_read_unlock();
}

void function_patch_bringing_up(struct judge_function *function, u32 alternative)
{
	cpus_write_lock();
	patch_batch(&function, &alternative, 1);
	cpus_write_unlock();
}

void function_patch_in_place(struct judge_function *function, u32 alternative)
{
	mutex_lock(&text_mutex);
	patch_state(function, PATCH_TO(function->generation), alternative);
	smp_mb(); /* What is sure ends before the change begins. */
	text_poke_in_place(function->site, function->bytes[alternative], sizeof(nothing));
	patch_state(function, alternative, alternative);
	mutex_unlock(&text_mutex);
}
