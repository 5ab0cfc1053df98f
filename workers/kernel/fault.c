// SPDX-License-Identifier: MIT
/* Which calls are made to fail. */
#include <kernel/fault.h>
#include <percpu.h>

/* xorshift64 (Marsaglia, J. Stat. Soft. 2003); 0 = not seeded. An interrupt may repeat a step. */
static DEFINE_PER_CPU(u64, fault_random);

bool should_fail(u32 one_in)
{
	u64 *random, x;

	if (likely(!one_in))
		return false;
	random = this_cpu_ptr(fault_random);
	x = *random;
	if (!x)
		x = (the_machine->config.seed + smp_processor_id() + 1) * 0x9e3779b97f4a7c15UL | 1;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*random = x;
	return (x >> 32) % one_in == 0;
}
