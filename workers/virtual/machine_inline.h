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
u64 machine_stamp(void);
void sync_core(void);

#define machine_irqs_came() false

#define MACHINE_POISONS false
#define MACHINE_MODELS_FETCH true

/* text/: */
u64 machine_call_text(u64 addr, u64 a, u64 b);
void machine_text_insn(u64 addr, const void *bytes, u64 length);
void machine_text_copy(u64 addr, const void *bytes, u64 origin);
void machine_text_allocated(u64 addr, u64 size);
void machine_text_freed(u64 addr, u64 size);
void machine_text_calls(u64 function);
void machine_text_writing(u64 addr, u64 size);
const struct side *machine_text_writer(u64 addr);

void machine_memory_reserved(u64 start, u64 size);
void machine_memory_allocated(u64 start, u64 size);
void machine_memory_freed(u64 start, u64 size);

/* detectors/lock_order.c, detectors/grace_period.c */
void machine_lock_made(const void *lock);
void machine_lock_acquired(const void *lock, u32 flags);
void machine_lock_released(const void *lock);
u32 machine_locks_held(void);
void machine_waits_for_cpus(u64 mask);
void machine_reader_begins(const void *domain);
void machine_reader_ends(const void *domain);
void machine_mover_begins(const void *domain);
void machine_mover_ends(const void *domain);
void machine_quiescent(bool surely);
void machine_region_ends(bool goes_on);
u64 machine_grace_period_begins(const void *domain);
void machine_grace_period_ends(const void *domain, u64 began);
void machine_callback_queued(const void *domain, const void *head);
void machine_callback_runs(const void *domain, const void *head);
void machine_cookie_taken(const void *domain, u64 cookie);
void machine_cookie_passed(const void *domain, u64 cookie);

#endif
