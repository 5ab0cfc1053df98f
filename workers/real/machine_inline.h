/* SPDX-License-Identifier: MIT */
/* The real machine's part of machine.h that must be inline: x86 instructions and clocks. */
#ifndef REAL_MACHINE_INLINE_H
#define REAL_MACHINE_INLINE_H

#include <shm_layout/machine.h>

/* The CPU that this process is; set once, before any task runs. */
extern __thread struct cpu *machine_this_cpu __attribute__((tls_model("local-exec")));

/* By assembly, so that the compiler may read it once: a thread belongs to one CPU. */
static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__("movq %%fs:machine_this_cpu@tpoff, %0" : "=r"(cpu));
	return cpu;
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

static inline u64 machine_stamp(void)
{
	return machine_cycles();
}

#define machine_irqs_came() (READ_ONCE(this_cpu()->irq_pending))

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

#define MACHINE_MODELS_FETCH false

static inline u64 machine_call_text(u64 addr, u64 a, u64 b)
{
	return ((u64 (*)(u64, u64))addr)(a, b);
}

static inline void machine_text_insn(u64 addr, const void *bytes, u64 length)
{
}

static inline void machine_text_copy(u64 addr, const void *bytes, u64 origin)
{
}

static inline void machine_text_allocated(u64 addr, u64 size)
{
}

static inline void machine_text_freed(u64 addr, u64 size)
{
}

static inline void machine_text_calls(u64 function)
{
}

static inline void machine_text_writing(u64 addr, u64 size)
{
}

static inline const struct side *machine_text_writer(u64 addr)
{
	return NULL;
}

static inline void machine_lock_made(const void *lock)
{
}

static inline void machine_lock_acquired(const void *lock, u32 flags)
{
}

static inline void machine_lock_released(const void *lock)
{
}

static inline u32 machine_locks_held(void)
{
	return 0;
}

static inline void machine_waits_for_cpus(u64 mask)
{
}

static inline void machine_reader_begins(const void *domain)
{
}

static inline void machine_reader_ends(const void *domain)
{
}

static inline void machine_mover_begins(const void *domain)
{
}

static inline void machine_mover_ends(const void *domain)
{
}

static inline void machine_quiescent(bool surely)
{
}

static inline void machine_region_ends(bool goes_on)
{
}

static inline u64 machine_grace_period_begins(const void *domain)
{
	return 0;
}

static inline void machine_grace_period_ends(const void *domain, u64 began)
{
}

static inline void machine_callback_queued(const void *domain, const void *head)
{
}

static inline void machine_callback_runs(const void *domain, const void *head)
{
}

static inline void machine_cookie_taken(const void *domain, u64 cookie)
{
}

static inline void machine_cookie_passed(const void *domain, u64 cookie)
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
