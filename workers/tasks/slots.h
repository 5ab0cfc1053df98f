/* SPDX-License-Identifier: MIT */
/*
 * Register and change probes, and write down what is sure of them meanwhile.
 *
 * Several tasks may do so to the same slot at once. What the mechanism forbids
 * (to register twice, to touch a kprobe that may be freed) is not done: it
 * returns SLOT_MISUSED, and the caller counts it.
 */
#ifndef TASKS_SLOTS_H
#define TASKS_SLOTS_H

#include <tasks/judge.h>

#define SLOTS_BATCH 8
#define SLOT_MISUSED 1        /* not done: another task has left the slot in another state */

/*
 * Register a new kprobe for each of @count slots (at most SLOTS_BATCH); all or none. Slots that
 * are registered already are passed over. Returns how many were not, or -errno.
 */
int slots_register(struct judge_slot *slots[], u32 count);

/* Unregister and free; slots that are not registered are passed over. Returns how many were not. */
u32 slots_unregister(struct judge_slot *slots[], u32 count);

/* 0, SLOT_MISUSED, or -errno. */
int slot_enable(struct judge_slot *slot);
int slot_disable(struct judge_slot *slot);

/* Registered and enabled? Context: nobody else changes it. */
static inline bool slot_is_on(const struct judge_slot *slot)
{
	return (slot->generation & GENERATION_STATE) == SLOT_ON;
}

/* For all probes of the machine; @slots are all that exist. */
int slots_arm_all(struct judge_slot *slots, u32 count);
void slots_disarm_all(void);

/* Unload a module; @slots are all that exist. Returns what text_module_unload() does. */
int slots_unload(struct judge_slot *slots, u32 count, int module);

/* Give the sites of @count functions (at most SLOTS_BATCH) other alternatives, in one batch. */
void functions_patch(struct judge_function *functions[], const u32 alternatives[], u32 count);

/* The same for one function that no CPU but this one runs. */
void function_patch_in_place(struct judge_function *function, u32 alternative);

/* The same by who brings a CPU up, and so changes the set of CPUs. */
void function_patch_bringing_up(struct judge_function *function, u32 alternative);

/* What stands at a function's site now. Context: nobody else patches it. */
static inline u32 function_alternative(const struct judge_function *function)
{
	return PATCH_TO(function->generation);
}

#endif
