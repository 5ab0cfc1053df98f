/* SPDX-License-Identifier: MIT */
/* The real machine's part of machine.h that must be inline: x86 instructions and clocks. */
#ifndef REAL_MACHINE_INLINE_H
#define REAL_MACHINE_INLINE_H

#include <shm_layout/machine.h>

/* The CPU that this process is; set once, before any task runs. */
extern __thread struct cpu *machine_this_cpu __attribute__((tls_model("local-exec")));

static inline struct cpu *this_cpu(void)
{
	return machine_this_cpu;
}

static inline void this_cpu_add(u64 *p, u64 v)
{
	__asm__ volatile("addq %1, %0" : "+m"(*p) : "er"(v) : "memory", "cc");
}

static inline u64 this_cpu_fetch_add(u64 *p, u64 v)
{
	__asm__ volatile("xaddq %0, %1" : "+r"(v), "+m"(*p) : : "memory", "cc");
	return v;
}

static inline u64 machine_cycles(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

u64 machine_now(void);

#define MACHINE_POISONS true

static inline void machine_memory_reserved(u64 start, u64 size)
{
}

static inline void machine_memory_allocated(u64 start, u64 size)
{
}

static inline void machine_memory_freed(u64 start, u64 size)
{
}

/* Serialize by an interrupt return to the next instruction: CPUID traps in virtual machines. */
static inline void sync_core(void)
{
	u64 scratch;

	__asm__ volatile(
		"movq %%ss, %0\n\t"
		"pushq %0\n\t"
		"pushq %%rsp\n\t"
		"addq $8, (%%rsp)\n\t"
		"pushfq\n\t"
		"movq %%cs, %0\n\t"
		"pushq %0\n\t"
		"pushq $1f\n\t"
		"iretq\n"
		"1:"
		: "=&r"(scratch) : : "memory", "cc");
	WRITE_ONCE(machine_this_cpu->synced, machine_cycles());
}

#endif
