// SPDX-License-Identifier: MIT
/* The state of CPUs and fibers that every run begins with. Memory is the undo log's business. */
#include "programs/kernel.h"

#include <error.h>

#define SAVED_BYTES (512UL << 10)

struct saved_fiber {
	struct fiber fiber;
	u8 *bytes;            /* its stack, from where it is used */
	u64 size;             /* bytes */
};

static struct saved_fiber saved_fibers[MAX_FIBERS];
static u32 nr_saved;          /* fibers with a higher number are fresh */
static u8 saved_bytes[SAVED_BYTES];
static u8 saved_cpus[VIRTUAL_CPUS][offsetof(struct vcpu, buffer)];

static void copy(void *to, const void *from, u64 size)
{
	__builtin_memcpy(to, from, size);
}

int snapshot_take(void)
{
	u64 used = 0;

	for (u32 n = 0; n < MAX_FIBERS; n++) {
		struct saved_fiber *saved = &saved_fibers[n];
		struct fiber *fiber = &fibers[n];

		fiber->touched = 0;
		saved->fiber = *fiber;
		if (!the_machine->task[n].has_thread)
			continue;
		nr_saved = n + 1;
		saved->bytes = saved_bytes + used;
		saved->size = fiber->stack + fiber->size - fiber->sp;
		used += saved->size;
		if (used > SAVED_BYTES)
			return -ENOSPC;
		copy(saved->bytes, (void *)fiber->sp, saved->size);
	}
	for (u32 n = 0; n < nr_kernel_cpus(); n++) {
		struct vcpu *cpu = &engine.vcpu[n];

		cpu->events = cpu->stores = cpu->commits = cpu->idle_reads = 0;
		copy(saved_cpus[n], cpu, sizeof(saved_cpus[n]));
	}
	return 0;
}

void snapshot_restore(void)
{
	for (u32 n = 0; n < nr_saved; n++) {
		const struct saved_fiber *saved = &saved_fibers[n];

		if (!fibers[n].touched)
			continue;
		fibers[n] = saved->fiber;
		copy((void *)fibers[n].sp, saved->bytes, saved->size);
	}
	for (u32 n = 0; n < nr_kernel_cpus(); n++)
		copy(&engine.vcpu[n], saved_cpus[n], sizeof(saved_cpus[n]));
}
