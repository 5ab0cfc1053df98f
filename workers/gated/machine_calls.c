// SPDX-License-Identifier: MIT
/*
 * Calls of the machine by mechanisms, which are places as well: the linker sends
 * them here first (--wrap).
 */
#include "gates.h"

#define PC ((u64)__builtin_return_address(0))

void __real_machine_relax_while(const u32 *word, u32 value);
void __wrap_machine_relax_while(const u32 *word, u32 value);
void __real_machine_spin_while(const u32 *word, u32 value);
void __wrap_machine_spin_while(const u32 *word, u32 value);
void __real_machine_wait_clear(const u32 *word, u32 bits);
void __wrap_machine_wait_clear(const u32 *word, u32 bits);
void __real_machine_count_down(u32 *count);
void __wrap_machine_count_down(u32 *count);
void __real_machine_idle(void);
void __wrap_machine_idle(void);
void __real_machine_raise_irq(int cpu, u32 bits);
void __wrap_machine_raise_irq(int cpu, u32 bits);
u32 __real_machine_take_irqs(void);
u32 __wrap_machine_take_irqs(void);

void __wrap_machine_relax_while(const u32 *word, u32 value)
{
	gate_access(PC, (u64)word, sizeof(*word));
	if (READ_ONCE(*word) == value)
		gate_rest();
	__real_machine_relax_while(word, value);
}

void __wrap_machine_spin_while(const u32 *word, u32 value)
{
	gate_access(PC, (u64)word, sizeof(*word));
	if (READ_ONCE(*word) == value)
		gate_rest();
	__real_machine_spin_while(word, value);
}

void __wrap_machine_wait_clear(const u32 *word, u32 bits)
{
	gate_access(PC, (u64)word, sizeof(*word));
	if (READ_ONCE(*word) & bits)
		gate_rest();
	__real_machine_wait_clear(word, bits);
}

void __wrap_machine_count_down(u32 *count)
{
	gate_access(PC, (u64)count, sizeof(*count));
	__real_machine_count_down(count);
}

void __wrap_machine_idle(void)
{
	gate_access(PC, 0, 0);
	gate_rest();
	__real_machine_idle();
}

void __wrap_machine_raise_irq(int cpu, u32 bits)
{
	gate_access(PC, (u64)&cpu_at(cpu)->irq_pending, sizeof(u32));
	__real_machine_raise_irq(cpu, bits);
}

u32 __wrap_machine_take_irqs(void)
{
	u32 *pending = &this_cpu()->irq_pending;

	/* The virtual machine has no event for looking in vain. */
	if (READ_ONCE(*pending))
		gate_access(PC, (u64)pending, sizeof(*pending));
	return __real_machine_take_irqs();
}
