// SPDX-License-Identifier: MIT
/* When a cross call has returned, the function has: what it used may be gone. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/smp.h>

struct note {
	u64 cpu;
	u64 calls;
};

static void sign(void *info)
{
	struct note *note = info;

	note->cpu = smp_processor_id();
	note->calls++;
}

static void call_once(int cpu)
{
	struct note *note = kzalloc(sizeof(*note), GFP_KERNEL);

	smp_call_function_single(cpu, sign, note, true);
	claim(note->calls == 1 && note->cpu == (u64)cpu, note->calls, note->cpu);
	kfree(note);
}

TASK(0, left)
{
	call_once(1);
}

TASK(1, right)
{
	call_once(0);
}
