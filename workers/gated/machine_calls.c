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
u64 __real_machine_jiffies(void);
u64 __wrap_machine_jiffies(void);
void __real_machine_timer_program(u64 when);
void __wrap_machine_timer_program(u64 when);
void __real_machine_open_irqs(bool open);
void __wrap_machine_open_irqs(bool open);

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

static bool time_stands(void)
{
	return READ_ONCE(gates.stands) && !READ_ONCE(gates.open);
}

/* No gate holds timers any more: the coordinator lets them come when their time has come. */
static void release_timers(void)
{
	for (u32 n = 0; n < num_cpus(); n++) {
		u64 when = READ_ONCE(gates.timer[n]) ? xchg(&gates.timer[n], 0UL) : 0;

		if (when)
			cmpxchg(&cpu_at(n)->timer, 0UL, when);
	}
}

u64 __wrap_machine_jiffies(void)
{
	u64 skipped = READ_ONCE(gates.skipped);

	if (time_stands())
		return READ_ONCE(gates.stopped) + skipped;
	if (!this_cpu())
		release_timers();
	return __real_machine_jiffies() + skipped;
}

void __wrap_machine_timer_program(u64 when)
{
	if (time_stands())
		WRITE_ONCE(gates.timer[smp_processor_id()], when);
	else
		__real_machine_timer_program(when);
}

/* Where gates hold interrupts, they do so in handlers, too. */
void __wrap_machine_open_irqs(bool open)
{
	if (!gate_holds_irqs())
		__real_machine_open_irqs(open);
}
