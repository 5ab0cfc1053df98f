// SPDX-License-Identifier: MIT
/*
 * The slot area is an array of slots. A slot is clean, used or dirty; dirty ones
 * are collected many at a time, after one grace period: an ip inside a slot
 * counts as an RCU reader.
 */
#include <error.h>
#include <finding.h>
#include <kernel/insn_slot.h>
#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/text.h>

#define MAX_SLOTS 65536
#define MAX_DIRTY 256         /* then they are collected */

enum slot_state { SLOT_CLEAN, SLOT_USED, SLOT_DIRTY };

static DEFINE_MUTEX(insn_slot_mutex);

/* All under insn_slot_mutex. Slot numbers are kept plus one: 0 = none. */
static u8 slot_state[MAX_SLOTS]; /* enum slot_state */
static u32 slot_next[MAX_SLOTS]; /* behind this one in its list */
static u32 first_clean;       /* clean slots that were used before */
static u32 first_dirty;
static u32 nr_dirty;
static u32 nr_used __statistics; /* for tests */
static u32 nr_touched;        /* slots from here on were never used */

static u32 slots_in_area(void)
{
	u64 slots = the_machine->text.slots_size / INSN_SLOT_SIZE;

	return slots < MAX_SLOTS ? slots : MAX_SLOTS;
}

static u64 area_start(void)
{
	return TEXT_BASE + the_machine->text.slots_offset;
}

static void collect_dirty(void)
{
	/* Whoever was interrupted in one of them has left it after this. */
	synchronize_rcu();
	while (first_dirty) {
		u32 n = first_dirty - 1;

		first_dirty = slot_next[n];
		slot_state[n] = SLOT_CLEAN;
		slot_next[n] = first_clean;
		first_clean = n + 1;
		machine_text_freed(area_start() + n * INSN_SLOT_SIZE, INSN_SLOT_SIZE);
	}
	nr_dirty = 0;
}

int insn_slot_get(u64 *slot)
{
	int error = 0;
	u32 n = 0;

	mutex_lock(&insn_slot_mutex);
	if (!first_clean && nr_touched == slots_in_area() && nr_dirty)
		collect_dirty();
	if (first_clean) {
		n = first_clean - 1;
		first_clean = slot_next[n];
	} else if (nr_touched < slots_in_area()) {
		n = nr_touched++;
	} else {
		error = -ENOSPC;
	}
	if (!error) {
		slot_state[n] = SLOT_USED;
		nr_used++;
		*slot = area_start() + n * INSN_SLOT_SIZE;
		machine_text_allocated(*slot, INSN_SLOT_SIZE);
	}
	mutex_unlock(&insn_slot_mutex);
	return error;
}

void insn_slot_put(u64 slot, bool dirty)
{
	u64 n = (slot - area_start()) / INSN_SLOT_SIZE;
	u32 state;

	mutex_lock(&insn_slot_mutex);
	state = n < MAX_SLOTS ? slot_state[n] : SLOT_CLEAN;
	if (unlikely(state != SLOT_USED)) {
		report_finding(FINDING_BAD_STATE, NULL, slot, state, SLOT_USED);
	} else if (dirty) {
		slot_state[n] = SLOT_DIRTY;
		slot_next[n] = first_dirty;
		first_dirty = n + 1;
		nr_used--;
		if (++nr_dirty > MAX_DIRTY)
			collect_dirty();
	} else {
		slot_state[n] = SLOT_CLEAN;
		slot_next[n] = first_clean;
		first_clean = n + 1;
		nr_used--;
		machine_text_freed(slot, INSN_SLOT_SIZE);
	}
	mutex_unlock(&insn_slot_mutex);
}

u64 insn_slots_used(void)
{
	return READ_ONCE(nr_used);
}
