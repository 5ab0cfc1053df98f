/* SPDX-License-Identifier: MIT */
/*
 * The heap of an explored program with pthreads: addresses are the same in every
 * run, and nothing is used twice within a run, so that each wrong access is seen.
 */
#ifndef VIRTUAL_HEAP_H
#define VIRTUAL_HEAP_H

#include "detectors/shadow.h"

/* Once. 0 or -errno. */
int heap_init(void);
/* Before a run: nothing is allocated. */
void heap_reset(void);

u64 heap_allocate(u64 size, u64 alignment, u64 pc);
void heap_free(u64 addr, u64 pc);
/* Is @addr an address of the heap? */
bool heap_has(u64 addr);

/* The block that @addr lies in; false = in none. */
bool heap_block_at(u64 addr, u64 *start, u64 *size);
/* The block that @addr lies in, or else the last one before it. */
bool heap_describe(u64 addr, struct shadow_object *object);

/* The program is at its end: is every block freed, or can somebody still find it? */
void heap_check_leaks(bool main_returned);

#endif
