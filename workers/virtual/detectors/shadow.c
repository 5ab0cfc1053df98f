// SPDX-License-Identifier: MIT
/* Memory that is not there any more, or never was: the heap's, and that of popped frames. */
#define _GNU_SOURCE
#include "detectors/shadow.h"
#include "programs/heap.h"
#include "detectors/race.h"
#include "detectors/report.h"

#include <errno.h>
#include <sys/mman.h>

u64 shadow_base, shadow_size;
u8 *shadow;
bool (*shadow_describe)(u64 addr, struct shadow_object *object);

int shadow_init(u64 base, u64 size, u32 why)
{
	void *at = mmap(NULL, size / 8, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	shadow = at;
	shadow_base = base;
	shadow_size = size;
	if (why)
		__builtin_memset(shadow, why, size / 8);
	return 0;
}

/* As many bytes as there are up to the next multiple of eight, but not more than @left. */
static u32 piece(u64 addr, u64 left)
{
	u32 room = 8 - (addr & 7);

	return left < room ? left : room;
}

static void set(u64 first, u64 count, u8 value)
{
	u64 at = (u64)&shadow[first];

	for (u32 n; count; at += n, count -= n) {
		n = piece(at, count);
		undo_push(at, n, load_word(at, n));
		store_word(at, n, value * 0x0101010101010101UL);
	}
}

void shadow_allow(u64 addr, u64 size)
{
	u64 first = (addr - shadow_base) / 8;

	set(first, size / 8, 0);
	if (size & 7)
		set(first + size / 8, 1, size & 7);
}

void shadow_forbid(u64 addr, u64 size, enum shadow why)
{
	set((addr - shadow_base) / 8, (size + 7) / 8, why);
}

/* The first byte of the access that is not there. */
static u64 first_bad(u64 addr, u32 size)
{
	for (u32 n = 0; n < size - 1; n++) {
		u64 place = addr + n - shadow_base;
		u8 state = shadow[place / 8];

		if (state && (state >= 8 || (place & 7) >= state))
			return addr + n;
	}
	return addr + size - 1;
}

void shadow_report(u64 addr, u32 size, bool write, u64 pc)
{
	struct shadow_object object = { .addr = 0 };
	u64 bad = first_bad(addr, size);
	bool known;

	known = shadow_describe ? shadow_describe(bad, &object) : heap_describe(bad, &object);
	if (known && object.freed.tsc && bad - object.addr < object.size)
		virtual_report(FINDING_USE_AFTER_FREE, pc, &object.freed, object.addr, object.size,
			       addr, write);
	virtual_report(FINDING_OVERRUN, pc, known ? &object.allocated : NULL, object.addr,
		       object.size, bad, write ? 0 : load_word(bad, 1));
}

/* What is below is no frame of explored code, or not any more. */
static u64 lowest_frame(struct fiber *fiber)
{
	const struct vcpu *cpu = &engine.vcpu[fiber->cpu];

	if (engine.exited >> cpu->id & 1 && cpu->fiber == fiber)
		return fiber->stack + fiber->size;
	return stack_bound(fiber);
}

void shadow_check_stack(u64 addr, u32 size, u64 pc)
{
	struct fiber *fiber = &fibers[(addr - engine.stacks) / engine.stack_stride];
	struct side owner;

	if (fiber == engine.cpu->fiber)
		return;
	if (addr >= lowest_frame(fiber)) {
		if (engine.races && fiber->cpu != engine.cpu->id)
			race_visit(engine.cpu, &engine.vcpu[fiber->cpu], addr, size, pc);
		return;
	}
	virtual_side_of(&owner, &engine.vcpu[fiber->cpu]);
	virtual_report(FINDING_USE_AFTER_FREE, pc, &owner, addr, size);
}
