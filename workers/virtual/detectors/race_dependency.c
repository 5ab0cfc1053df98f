// SPDX-License-Identifier: MIT
/*
 * Address dependencies: what a pointer leads to is accessed after the marked load
 * that gave the pointer, so it has seen what the pointer was published with.
 */
#include "detectors/race_clock.h"
#include "programs/heap.h"

#define NR_DEPENDENCIES 16
/* An object that a pointer leads to, where its size is not known. */
#define OBJECT_BEFORE 256
#define OBJECT_AFTER 4096

/* A marked load gave @value, whose publication carried a clock. */
struct dependency {
	u64 value;
	u32 snapshot;         /* + 1 */
};

u32 nr_dependencies[VIRTUAL_CPUS];

/* The newest ones of each CPU. */
static struct dependency dependencies[VIRTUAL_CPUS][NR_DEPENDENCIES];

static bool leads_to(u64 pointer, u64 addr)
{
	u64 start, size;

	if (heap_block_at(pointer, &start, &size))
		return addr - start < size;
	return addr - (pointer - OBJECT_BEFORE) < OBJECT_BEFORE + OBJECT_AFTER;
}

static inline u32 oldest(u32 cpu)
{
	return nr_dependencies[cpu] > NR_DEPENDENCIES ? nr_dependencies[cpu] - NR_DEPENDENCIES : 0;
}

bool is_by_dependency(struct vcpu *cpu, u64 addr, u32 other, u32 clock)
{
	for (u32 n = oldest(cpu->id); n < nr_dependencies[cpu->id]; n++) {
		const struct dependency *from = &dependencies[cpu->id][n % NR_DEPENDENCIES];

		if (snapshots[from->snapshot - 1].at[other] >= clock && leads_to(from->value, addr))
			return true;
	}
	return false;
}

void depend_on(struct vcpu *cpu, u64 value, u32 from)
{
	u32 place = nr_dependencies[cpu->id]++ % NR_DEPENDENCIES;

	dependencies[cpu->id][place] = (struct dependency){ value, from };
}

/* A pointer found in memory that a published pointer leads to. */
void follow(struct vcpu *cpu, u64 addr, u64 value)
{
	u32 end = nr_dependencies[cpu->id];

	for (u32 n = oldest(cpu->id); n < end; n++) {
		const struct dependency from = dependencies[cpu->id][n % NR_DEPENDENCIES];

		if (leads_to(from.value, addr) && from.value != value)
			depend_on(cpu, value, from.snapshot);
	}
}
