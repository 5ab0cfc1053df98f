// SPDX-License-Identifier: MIT
/*
 * Objects of the slab that a run has allocated and that nothing leads to when all
 * tasks have ended: not what was written in the run, outside of other such
 * objects, and not the stack of a task that goes on.
 *
 * What was there before the run is not judged; nor a run with more than MAX_LIVE
 * objects at once.
 */
#include "programs/kernel.h"

#include "detectors/report.h"

#include <kernel/slab.h>

#define MAX_LIVE 512

static struct live {
	u64 start, size;
	u8 reached;           /* 2 = and looked into */
} live[MAX_LIVE];
static u32 nr_live;
static bool too_many;

void leaks_begin(void)
{
	nr_live = 0;
	too_many = false;
}

/* The slab looks at its own memory without anybody noticing. */
static const struct slab_object *find_object(u64 addr)
{
	struct vcpu *cpu = engine.cpu;
	const struct slab_object *object;

	engine.cpu = NULL;
	object = slab_find(addr);
	engine.cpu = cpu;
	return object;
}

void leaks_allocated(u64 start, u64 size)
{
	const struct slab_object *object;

	if (kernel.phase < PHASE_RUN)
		return;
	/* Not the slab's own pages. */
	object = find_object(start);
	if (!object || object->payload != start)
		return;
	if (nr_live < MAX_LIVE)
		live[nr_live++] = (struct live){ .start = start, .size = size };
	else
		too_many = true;
}

void leaks_freed(u64 start)
{
	for (u32 n = nr_live; n--; ) {
		if (live[n].start == start) {
			live[n] = live[--nr_live];
			return;
		}
	}
}

/* An address behind the end of an object belongs to none. */
static struct live *object_of(u64 addr)
{
	for (u32 n = 0; n < nr_live; n++) {
		if (addr - live[n].start < (live[n].size ? live[n].size : 1))
			return &live[n];
	}
	return NULL;
}

static void reach(u64 value)
{
	struct live *object = object_of(value);

	if (object && !object->reached)
		object->reached = 1;
}

static void reach_from(u64 start, u64 end)
{
	for (u64 at = (start + 7) & ~7UL; at + 8 <= end; at += 8)
		reach(*(const u64 *)at);
}

static bool is_heap(u64 addr)
{
	const struct region *heap = &the_machine->region[REGION_HEAP];

	return addr - ARENA_BASE - heap->offset < heap->size;
}

/* Of the heap only what is somebody's: the slab keeps notes of its own there. */
static bool is_slabs_own(u64 addr)
{
	const struct slab_object *object;

	if (!is_heap(addr))
		return false;
	object = find_object(addr);
	return !object || object->state != SLAB_LIVE || addr - object->payload >= object->size;
}

static void reach_from_written(void)
{
	for (u32 n = 0; n < engine.nr_undo; n++) {
		u64 addr = undo_log[n].addr & ~7UL;

		if (object_of(addr) || is_slabs_own(addr))
			continue;
		reach(load_word(addr, 8));
		/* A word that is not aligned. */
		if (undo_log[n].addr & 7)
			reach(load_word(addr + 8, 8));
	}
}

static void reach_from_stacks(void)
{
	for (u32 n = 0; n < MAX_FIBERS; n++) {
		const struct task_struct *task = &the_machine->task[n];
		const struct fiber *fiber = &fibers[n];
		u64 sp = fiber->sp;

		if (!task->has_thread || kernel_task_has_ended(task))
			continue;
		if (fiber == engine.cpu->fiber)
			sp = (u64)__builtin_frame_address(0);
		if (sp - fiber->stack < fiber->size)
			reach_from(sp, fiber->stack + fiber->size);
	}
}

static void reach_from_reached(void)
{
	bool more = true;

	while (more) {
		more = false;
		for (u32 n = 0; n < nr_live; n++) {
			if (live[n].reached != 1)
				continue;
			live[n].reached = 2;
			reach_from(live[n].start, live[n].start + live[n].size);
			more = true;
		}
	}
}

static const struct live *find_unreached(void)
{
	for (u32 n = 0; n < nr_live; n++) {
		if (!live[n].reached)
			return &live[n];
	}
	return NULL;
}

void leaks_check(void)
{
	const struct slab_object *object;
	const struct live *leak;

	if (!nr_live || too_many)
		return;
	reach_from_written();
	reach_from_reached();
	if (!find_unreached())
		return;
	reach_from_stacks();
	reach_from_reached();
	leak = find_unreached();
	if (!leak)
		return;
	object = find_object(leak->start);
	virtual_report(FINDING_LEAK, 0, object ? &object->allocated : NULL, leak->start,
		       leak->size);
}
