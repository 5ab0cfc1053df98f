// SPDX-License-Identifier: MIT
/* How an interrupt comes into the run: who can be interrupted, by what, and the way there. */
#include "interrupts.h"
#include "detectors/show.h"

/* Interrupts that can be taken, and ticks that can come, now. */
u64 interrupt_agents(void)
{
	u64 enabled = 0;

	for (u64 left = engine.irqs; left; left &= left - 1) {
		u32 cpu = __builtin_ctzl(left);

		if (engine.interrupts.enabled(cpu))
			enabled |= AGENT_BIT(AGENT_IRQ, cpu);
	}
	for (u64 left = engine.ticking & (~engine.irqs | engine.nmis); left; left &= left - 1) {
		u32 cpu = __builtin_ctzl(left);

		if (engine.interrupts.sources(cpu))
			enabled |= AGENT_BIT(AGENT_TICK, cpu);
	}
	return enabled;
}

bool interrupt_comes(struct vcpu *cpu)
{
	u32 sources = engine.interrupts.sources(cpu->id);

	if (sources & (sources - 1))
		cpu->deliver = DELIVER_ANY;
	else if (engine.interrupts.arrive(cpu->id, __builtin_ctz(sources)))
		cpu->deliver = DELIVER_NMI;
	return cpu->deliver;
}

/* Something interrupts @cpu, on whose fiber this is. True = it is an NMI. */
static bool arrive(struct vcpu *cpu)
{
	u32 sources = engine.interrupts.sources(cpu->id);
	u32 nth = engine_pick(cpu, __builtin_popcount(sources));

	while (nth--)
		sources &= sources - 1;
	return engine.interrupts.arrive(cpu->id, __builtin_ctz(sources));
}

void take_interrupt(struct vcpu *cpu)
{
	struct pending pending = cpu->pending;
	bool nmi = cpu->deliver == DELIVER_NMI || (cpu->deliver == DELIVER_ANY && arrive(cpu));
	bool waits = cpu->deliver == DELIVER_ANY && !nmi;

	cpu->deliver = 0;
	if (waits)
		return;
	cpu->irq_depth++;
	if (unlikely(engine.show))
		show_event(cpu, nmi ? EVENT_KIND_NMI : EVENT_KIND_IRQ, 0, 0, 0, pending.pc);
	view_show(cpu);
	if (nmi)
		engine.interrupts.take_nmi(cpu->id);
	else
		engine.interrupts.take(cpu->id);
	cpu->irq_depth--;
	if (unlikely(engine.show) && nmi)
		show_event(cpu, EVENT_KIND_NMI, 0, 0, 1, pending.pc);
	cpu->pending = pending;
	/* The buffer is not what it was. */
	if (pending.forwarded)
		cpu->pending.forwarded = is_forwarded(cpu, pending.addr, pending.size);
}
