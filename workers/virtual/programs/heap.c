// SPDX-License-Identifier: MIT
/* Blocks one after the other, with room between them that nobody may touch. */
#define _GNU_SOURCE
#include "programs/heap.h"
#include "programs/pthread_program.h"

#include <errno.h>
#include <sys/mman.h>

#define HEAP_BASE 0x140000000000UL
#define HEAP_SIZE (64UL << 20)
#define MAX_BLOCKS 16384
#define REDZONE 32
#define ALIGNMENT 16

enum block_state { BLOCK_LIVE, BLOCK_FREED };

struct block {
	u64 start;
	u64 size;
	u32 state;            /* enum block_state */
	u32 reached;          /* 1 = a pointer to it was found */
	struct side allocated, freed;
};

static struct block blocks[MAX_BLOCKS]; /* by address */
static u32 nr_blocks;
static u32 nr_live;
static u64 top;                         /* first byte that was never used in this run */

int heap_init(void)
{
	if (mmap((void *)HEAP_BASE, HEAP_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0) !=
	    (void *)HEAP_BASE)
		return -ENOMEM;
	top = HEAP_BASE;
	return shadow_init(HEAP_BASE, HEAP_SIZE, SHADOW_UNUSED);
}

/* The shadow is undone with the run; what libc wrote into blocks by itself is not. */
void heap_reset(void)
{
	if (top > HEAP_BASE)
		__builtin_memset((void *)HEAP_BASE, 0, top - HEAP_BASE);
	top = HEAP_BASE;
	nr_blocks = nr_live = 0;
}

bool heap_has(u64 addr)
{
	return addr - HEAP_BASE < HEAP_SIZE;
}

/* The last block that does not begin behind @addr. */
static struct block *block_before(u64 addr)
{
	u32 low = 0, high = nr_blocks;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (blocks[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &blocks[low - 1] : NULL;
}

bool heap_block_at(u64 addr, u64 *start, u64 *size)
{
	struct block *block = heap_has(addr) ? block_before(addr) : NULL;

	if (!block || addr - block->start >= block->size)
		return false;
	*start = block->start;
	*size = block->size;
	return true;
}

bool heap_describe(u64 addr, struct shadow_object *object)
{
	struct block *block = block_before(addr);
	u32 next = block ? block - blocks + 1 : 0;

	/* Shortly before a block is nearer to that one. */
	if (next < nr_blocks && blocks[next].start - addr <= REDZONE / 2)
		block = &blocks[next];
	if (!block)
		return false;
	*object = (struct shadow_object){
		.addr = block->start,
		.size = block->size,
		.allocated = block->allocated,
		.freed = block->freed,
	};
	return true;
}

u64 heap_allocate(u64 size, u64 alignment, u64 pc)
{
	struct block *block = &blocks[nr_blocks];
	u64 start;

	alignment = alignment > ALIGNMENT ? alignment : ALIGNMENT;
	start = (top + REDZONE + alignment - 1) & ~(alignment - 1);
	if (size > HEAP_SIZE)
		return 0;
	if (start + size + REDZONE > HEAP_BASE + HEAP_SIZE || nr_blocks == MAX_BLOCKS)
		engine_end(RUN_BOUND);
	*block = (struct block){ .start = start, .size = size, .state = BLOCK_LIVE };
	virtual_side(&block->allocated, pc, (u64)__builtin_frame_address(0));
	nr_blocks++;
	nr_live++;
	top = (start + size + 7) & ~7UL;
	shadow_allow(start, size);
	if (unlikely(engine.show))
		show_event(engine.cpu, EVENT_KIND_ALLOC, start, size < 255 ? size : 255, size, pc);
	return start;
}

void heap_free(u64 addr, u64 pc)
{
	struct vcpu *cpu = engine.cpu;
	struct block *block = block_before(addr);
	u64 size;

	if (!block || block->start != addr)
		virtual_report(FINDING_BAD_FREE, pc, NULL, addr);
	/* Others may use it until now. */
	size = block->size < 255 ? block->size : 255;
	cpu->pending.value = block->size;
	engine_point(EVENT_KIND_FREE, addr, size, pc);
	if (unlikely(engine.show))
		show_event(cpu, EVENT_KIND_FREE, addr, size, block->size, pc);
	if (block->state == BLOCK_FREED)
		virtual_report(FINDING_DOUBLE_FREE, pc, &block->freed, addr, block->size);
	block->state = BLOCK_FREED;
	nr_live--;
	virtual_side(&block->freed, pc, (u64)__builtin_frame_address(0));
	shadow_forbid(addr, block->size ? block->size : 1, SHADOW_FREED);
}

/* Whatever looks like an address in a block keeps it: it is found again by that. */
static bool reach(u64 value)
{
	struct block *block = heap_has(value) ? block_before(value) : NULL;

	if (!block || block->reached || block->state != BLOCK_LIVE ||
	    value - block->start > block->size)
		return false;
	block->reached = 1;
	return true;
}

static bool reach_from(u64 start, u64 size)
{
	bool found = false;

	for (u64 at = (start + 7) & ~7UL; at + 8 <= start + size; at += 8)
		found |= reach(*(u64 *)at);
	return found;
}

static u64 buffered_value(const struct vcpu *cpu, const struct store *store)
{
	return engine.view == cpu->id ? load_word(store->addr, store->size) : store->value;
}

/*
 * A pointer to a block of this run was written in this run, so what was written
 * is all that needs to be looked at; and the stacks of threads that still run.
 */
static void reach_from_outside(bool main_returned)
{
	u64 values_size, values = keys_values(&values_size);

	reach_from(values, values_size);
	for (u32 n = 0; n < engine.nr_undo; n++) {
		u64 addr = undo_log[n].addr & ~7UL;

		if (!heap_has(addr) && addr - engine.stacks >= engine.stacks_size)
			reach_from(addr, 16);
	}
	for (u32 id = 0; id < engine.nr_cpus; id++) {
		struct vcpu *cpu = &engine.vcpu[id];
		u64 end = cpu->fiber->stack + cpu->fiber->size;
		u64 sp = cpu == engine.cpu ? (u64)__builtin_frame_address(0) : cpu->fiber->sp;

		for (u32 n = 0; n < cpu->count; n++)
			reach(buffered_value(cpu, nth_store(cpu, n)));
		reach((u64)threads[id].result);
		/* Of main(), when it has returned, thread-local variables are left. */
		if (main_returned && !id)
			sp = end - engine.locals;
		if (!(engine.exited >> id & 1))
			reach_from(sp, end - sp);
	}
}

void heap_check_leaks(bool main_returned)
{
	bool more = nr_live;

	if (!nr_live)
		return;
	reach_from_outside(main_returned);
	while (more) {
		more = false;
		for (u32 n = 0; n < nr_blocks; n++) {
			if (blocks[n].reached == 1) {
				blocks[n].reached = 2;
				more |= reach_from(blocks[n].start, blocks[n].size);
			}
		}
	}
	for (u32 n = 0; n < nr_blocks; n++) {
		if (blocks[n].state == BLOCK_LIVE && !blocks[n].reached)
			virtual_report(FINDING_LEAK, 0, &blocks[n].allocated, blocks[n].start,
				       blocks[n].size);
	}
}
