// SPDX-License-Identifier: MIT
/*
 * The devices of this machine: the coordinator, which interrupts CPUs that have
 * handlers for them, at moments that have nothing to do with what the CPUs do.
 */
#include "real.h"

#include <tasks/random.h>

static u64 random_state;
static u64 due;               /* machine time, ns */

/* One of the lines in a mask that is not 0. */
static u32 any_line(u32 lines)
{
	u32 nth = random_below(&random_state, __builtin_popcount(lines));

	while (nth--)
		lines &= lines - 1;
	return __builtin_ctz(lines);
}

static void interrupt_cpu(u32 id)
{
	u32 devices = READ_ONCE(cpu_at(id)->irq_lines), nmis = READ_ONCE(cpu_at(id)->nmi_lines);

	if (!cpu_online(id))
		return;
	if (devices)
		machine_raise_irq(id, IRQ_DEVICE(any_line(devices)));
	if (nmis)
		raise_nmi(id, 1u << any_line(nmis));
}

static bool any_devices(void)
{
	for (u32 n = 0; n < the_machine->config.cpus; n++) {
		if (READ_ONCE(cpu_at(n)->irq_lines) | READ_ONCE(cpu_at(n)->nmi_lines))
			return true;
	}
	return false;
}

u64 devices_turn(u64 now)
{
	u32 period_ns = the_machine->config.device_us * 1000;

	if (!period_ns || !any_devices())
		return 0;
	if (!random_state)
		random_state = the_machine->config.seed | 1;
	if (now < due)
		return due;
	for (u32 n = 0; n < the_machine->config.cpus; n++)
		interrupt_cpu(n);
	due = now + period_ns / 2 + random_below(&random_state, period_ns);
	return due;
}
