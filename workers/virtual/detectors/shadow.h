/* SPDX-License-Identifier: MIT */
/*
 * Which bytes of the heap may be accessed: one shadow byte for eight bytes.
 * 0 = all eight; 1..7 = the first so many; SHADOW_* = none, and why.
 */
#ifndef VIRTUAL_SHADOW_H
#define VIRTUAL_SHADOW_H

#include "engine.h"

enum shadow {
	SHADOW_REDZONE = 0xf1,
	SHADOW_FREED = 0xf2,
	SHADOW_UNUSED = 0xf3,
};

/* What is known about the object at, or just before, an address. */
struct shadow_object {
	u64 addr;
	u64 size;             /* bytes asked for */
	struct side allocated;
	struct side freed;    /* tsc 0 = it is not */
};

extern u64 shadow_base;       /* address of the first byte of the heap; 0 = no heap yet */
extern u64 shadow_size;       /* bytes of heap */
extern u8 *shadow;            /* shadow_size / 8 */
/* The program's: false = there is no such object. NULL = the heap of heap.c. */
extern bool (*shadow_describe)(u64 addr, struct shadow_object *object);

/* Once: [base, base + size) is the heap, all of it as @why says, 0 = to be used. 0 or -errno. */
int shadow_init(u64 base, u64 size, u32 why);

/* The access is not all right: report it. Does not return. */
void shadow_report(u64 addr, u32 size, bool write, u64 pc) __attribute__((noreturn));
/* The access is to a stack: that frame must be there still. */
void shadow_check_stack(u64 addr, u32 size, u64 pc);

/* Before each access. */
static inline void shadow_check(u64 addr, u32 size, bool write, u64 pc)
{
	u64 place = addr - shadow_base;
	u8 first;

	if (likely(place >= shadow_size)) {
		if (unlikely(addr - engine.stacks < engine.stacks_size))
			shadow_check_stack(addr, size, pc);
		return;
	}
	first = shadow[place / 8];
	if (unlikely(first && (first >= 8 || (place & 7) + size > first)))
		shadow_report(addr, size, write, pc);
	if (unlikely((place & 7) + size > 8)) {
		u8 last = shadow[(place + size - 1) / 8];

		if (first || (last && (last >= 8 || ((place + size - 1) & 7) >= last)))
			shadow_report(addr, size, write, pc);
	}
}

/*
 * [addr, addr + size) may be accessed from now on; the rest of its last eight bytes
 * may not. @addr is a multiple of 8. Undone with the run.
 */
void shadow_allow(u64 addr, u64 size);
void shadow_forbid(u64 addr, u64 size, enum shadow why);

#endif
