/* SPDX-License-Identifier: MIT */
/* The virtual machine's part of machine.h that must be inline. */
#ifndef VIRTUAL_MACHINE_INLINE_H
#define VIRTUAL_MACHINE_INLINE_H

#include <compiler.h>
#include <shm_layout/machine.h>

/* The CPU whose fiber runs; the engine sets it at each switch. */
extern struct cpu *machine_this_cpu;

/* By assembly, so that the compiler does not announce it: it never changes for one fiber. */
static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__("movq machine_this_cpu, %0" : "=r"(cpu));
	return cpu;
}

/* Unlocked, and not split: they stay in the store buffer. kernel_memory.c */
void this_cpu_add(u64 *p, u64 v);
u64 this_cpu_fetch_add(u64 *p, u64 v);

u64 machine_cycles(void);
u64 machine_now(void);
void sync_core(void);

#define MACHINE_POISONS false

void machine_memory_reserved(u64 start, u64 size);
void machine_memory_allocated(u64 start, u64 size);
void machine_memory_freed(u64 start, u64 size);

#endif
